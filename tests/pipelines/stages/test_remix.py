"""The remix stages: domains by rule, splits by cluster, a plan from counts, and the plan again with tokens."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus.errors import CorruptShard, UsageError
from corpus.io import storage, table
from pipelines.config.recipe import Recipe, validate
from pipelines.config.remix import DomainRule
from pipelines.engine.stage import Task
from pipelines.stages.domains import domains_of, held_out
from pipelines.stages.remix import PLAN, TOKEN_PLAN, remix_stages, write_token_plan
from pipelines.stages.sites import DROPPED, DROPPED_SCHEMA
from tests.pipelines.stages.run_stages import run_stages

SCHEMAS = {
    "documents": [("id", pa.string()), ("site", pa.string()), ("language", pa.string()), ("length", pa.int64())],
    "duplicates": [("id", pa.string()), ("keep", pa.bool_()), ("cluster", pa.string()), ("cluster_size", pa.int32())],
    "verdicts": [("id", pa.string()), ("keep", pa.bool_())],
}
SHARDS = ["dump=CC-MAIN-2019-43/00000.parquet", "dump=CC-MAIN-2020-40/00000.parquet", "dump=books/00000.parquet"]
ROWS = 300


def recipe(root: Path, **remix: Any) -> Recipe:
    inputs = [
        {"crawl": "/nowhere", "dumps": ["CC-MAIN-2019-43", "CC-MAIN-2020-40"]},
        {"files": ["/nowhere/*"], "name": "books"},
    ]
    return validate({"name": "t", "root": str(root), "inputs": inputs, "remix": remix}, "test")


@pytest.fixture
def shards(tmp_path: Path) -> list[Task]:
    """Three shards: every third document a duplicate of the one before, every fifth dropped by the filter."""
    tasks = []
    for shard in SHARDS:
        ids = [f"{shard[5:9]}-{shard[12:16]}-{row}" for row in range(ROWS)]
        columns = {
            "documents": [
                ids,
                ["a.org" if row % 2 else None for row in range(ROWS)],
                ["zh" if row % 4 == 0 else "en" for row in range(ROWS)],
                [1000 + row for row in range(ROWS)],
            ],
            "duplicates": [
                ids,
                [row % 3 != 1 for row in range(ROWS)],
                [ids[row - (row % 3 == 1)] for row in range(ROWS)],
                [1] * ROWS,
            ],
            "verdicts": [ids, [row % 5 != 0 for row in range(ROWS)]],
        }
        for kind, values in columns.items():
            schema = pa.schema(SCHEMAS[kind])
            with table.ShardWriter(str(tmp_path / kind / shard), schema) as writer:
                writer.write(pa.table([pa.array(v, f.type) for v, f in zip(values, schema)], schema=schema))
            tasks.append(Task(kind, f"{kind}/{shard}", (), {}, "f"))
    with table.ShardWriter(str(tmp_path / DROPPED), DROPPED_SCHEMA) as writer:
        writer.write(pa.table([["spam.com"], [["failed_share 1 > 0.9"]], [7]], schema=DROPPED_SCHEMA))
    return [*tasks, Task("dropped_sites", DROPPED, (), {}, "f")]


def run(root: Path, recipe: Recipe, tasks: list[Task]) -> dict[str, list[str]]:
    """Plan both stages and run what is not done; the outputs that were made, by stage."""
    names = ("documents", "duplicates", "verdicts", "dropped_sites")
    given = {name: [task for task in tasks if task.stage == name] for name in names}
    ran = run_stages(remix_stages(str(root), recipe), given)
    return {stage: [task.output for task in made] for stage, made in ran.items()}


def rows_of(root: Path, shard: str) -> list[dict[str, Any]]:
    return table.read_table(str(root / "domains" / shard)).to_pylist()


def test_domains_and_plan(tmp_path: Path, shards: list[Task]) -> None:
    ran = run(tmp_path, recipe(tmp_path), shards)
    assert ran == {"domains": [f"domains/{shard}" for shard in SHARDS], "mixture": [PLAN]}
    kept: dict[str, list[int]] = {}
    languages: dict[str, dict[str, int]] = {}
    for shard in SHARDS:
        for number, row in enumerate(rows_of(tmp_path, shard)):
            domain = "books" if "books" in shard else f"web-{'zh' if number % 4 == 0 else 'en'}"
            assert row["domain"] == domain
            assert row["keep"] == (number % 3 != 1 and number % 5 != 0)
            if row["keep"] and row["split"] == "train":
                kept.setdefault(domain, []).append(1000 + number)
                of = languages.setdefault(domain, {"zh": 0} if number % 4 == 0 else {})
                language = "zh" if number % 4 == 0 else "en"
                of[language] = of.get(language, 0) + 1000 + number
    plan = storage.read_json(str(tmp_path / PLAN))
    found = {domain["domain"]: (domain["documents"], domain["bytes"]) for domain in plan["domains"]}
    assert found == {name: (len(sizes), sum(sizes)) for name, sizes in kept.items()}
    assert {domain["domain"]: domain["languages"] for domain in plan["domains"]} == languages
    assert set(languages["books"]) == {"en", "zh"}
    for rows in (plan["domains"], plan["languages"]):
        assert sum(row["weight"] for row in rows) == pytest.approx(1)
    assert plan["counts"]["documents"] == sum(map(len, kept.values()))


def test_no_cluster_straddles_the_splits(tmp_path: Path, shards: list[Task]) -> None:
    run(tmp_path, recipe(tmp_path, validation=0.3), shards)
    splits = [row["split"] for row in rows_of(tmp_path, SHARDS[0])]
    assert all(splits[row] == splits[row - 1] for row in range(1, ROWS, 3))
    assert 0.2 < splits.count("validation") / ROWS < 0.4


def test_the_split_depends_on_the_cluster_alone_and_meets_its_share() -> None:
    clusters = pa.chunked_array([[f"{n:032x}" for n in range(20_000)]])
    held = held_out(clusters, 0.05)
    assert held.mean() == pytest.approx(0.05, abs=0.005)
    assert (held_out(clusters.slice(100, 50), 0.05) == held[100:150]).all()
    assert (held_out(clusters, 0.1) >= held).all(), "a greater share holds out the same documents and more"
    assert not held_out(clusters, 0.0).any()


def test_rules_are_tried_in_order() -> None:
    sites = pa.chunked_array([["apache.org", "news.cn", None, "apache.org"]])
    languages = pa.chunked_array([["en", "zh", "en", "zh"]])
    topics = pa.chunked_array([[None, "news", "games", None]], pa.string())
    rules = [
        DomainRule(domain="apache-zh", site="apache.*", language="zh"),
        DomainRule(domain="apache", site="apache.*"),
        DomainRule(domain="old", source="CC-MAIN-2019-*"),
    ]
    assert domains_of(sites, languages, topics, "CC-MAIN-2020-40", False, rules).to_pylist() == [
        "apache", "web-zh", "web-en", "apache-zh",
    ]  # fmt: skip
    assert domains_of(sites, languages, topics, "CC-MAIN-2019-43", False, rules).to_pylist()[1:3] == ["old", "old"]
    assert domains_of(sites, languages, topics, "books", True, rules).to_pylist()[1:3] == ["books", "books"]
    assert (
        domains_of(sites.slice(0, 0), languages.slice(0, 0), topics.slice(0, 0), "books", True, rules).to_pylist() == []
    )
    named = [DomainRule(domain="play", topic="game*"), DomainRule(domain="any", topic="*")]
    assert domains_of(sites, languages, topics, "books", True, named).to_pylist() == ["any", "any", "play", "any"]


def test_weights_recompute_the_plan_alone(tmp_path: Path, shards: list[Task]) -> None:
    run(tmp_path, recipe(tmp_path), shards)
    assert run(tmp_path, recipe(tmp_path), shards) == {"domains": [], "mixture": []}
    changed = recipe(tmp_path, weights={"web-zh": 0.5}, epoch_cap=10)
    assert run(tmp_path, changed, shards) == {"domains": [], "mixture": [PLAN]}
    plan = storage.read_json(str(tmp_path / PLAN))
    assert {d["domain"]: d["weight"] for d in plan["domains"]}["web-zh"] == pytest.approx(0.5)


def test_the_plan_with_tokens(tmp_path: Path, shards: list[Task]) -> None:
    run(tmp_path, recipe(tmp_path, weights={"books": 0.9}, epoch_cap=2), shards)
    tokens = {"books": {"en": 60, "zh": 40}, "web-en": {"en": 500}, "web-zh": {"zh": 400}}
    plan = write_token_plan(str(tmp_path), tokens, 1000, {"stage": "tokens"})
    assert storage.read_json(str(tmp_path / TOKEN_PLAN)) == plan | {"stage": "tokens"}
    books = next(domain for domain in plan["domains"] if domain["domain"] == "books")
    assert (books["tokens"], books["epochs"], books["capped"], books["weight"]) == (100, 2.0, True, 0.2)
    assert (books["languages"], books["met"]) == (tokens["books"], pytest.approx(200 / 900))
    (en, zh) = plan["languages"]
    assert (en["language"], en["tokens"], zh["tokens"]) == ("en", 560, 440)
    assert en["natural"] == pytest.approx(0.56)
    assert en["target"] == pytest.approx(0.9 * 0.6 + 0.1 * 5 / 9)
    assert en["weight"] == pytest.approx(0.2 * 0.6 + 0.8 * 5 / 9)
    assert en["epochs"] * 560 + zh["epochs"] * 440 == pytest.approx(1000)


def test_a_shard_that_was_set_aside_is_left_out(tmp_path: Path, shards: list[Task]) -> None:
    without = [task for task in shards if task.output != f"verdicts/{SHARDS[1]}"]
    assert run(tmp_path, recipe(tmp_path), without)["domains"] == [f"domains/{SHARDS[0]}", f"domains/{SHARDS[2]}"]


def test_a_join_with_other_documents_is_refused(tmp_path: Path, shards: list[Task]) -> None:
    path = str(tmp_path / "verdicts" / SHARDS[0])
    rows = table.read_table(path)
    with table.ShardWriter(path, pa.schema(SCHEMAS["verdicts"])) as writer:
        writer.write(rows.slice(1))
    with pytest.raises(CorruptShard, match="ids"):
        run(tmp_path, recipe(tmp_path), shards)


def test_mistakes_in_the_recipe_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="weights have no effect with method: unimax"):
        recipe(tmp_path, method="unimax", weights={"books": 1})
    with pytest.raises(UsageError, match="weight of books is below 0"):
        recipe(tmp_path, weights={"books": -1})
    with pytest.raises(UsageError, match=r"remix.weights.web-zhh: no document has this domain; did you mean `web-zh`"):
        remix_stages("r", recipe(tmp_path, weights={"web-zhh": 0.5, "books": 0.1}))
    with pytest.raises(UsageError, match="did you mean `domain`"):
        recipe(tmp_path, domains=[{"domian": "x"}])
