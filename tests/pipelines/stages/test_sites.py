"""Sites judged by all of their documents: a farm whose pages pass alone, one page under many addresses."""

import json
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from corpus import site_stats
from corpus.io import table
from pipelines.config.recipe import Recipe, validate
from pipelines.engine import pipeline
from pipelines.stages import stages_of

MANUAL = list(dict.fromkeys(text for _, text in sorted(topics.items()) if 1500 < len(text) < 20000))
DOSE = " Read more about online casino and free spins in our next article."  # too little of it for a page


def recipe(folder: Path, **section: Any) -> Recipe:
    rows = [(f"https://docs.org/{number}", text) for number, text in enumerate(MANUAL[:20])]
    rows += [
        (f"https://farm.net/{number}", text + DOSE * (len(text.split()) // 220))
        for number, text in enumerate(MANUAL[20:32])
    ]
    rows += [(f"https://mirror.com/?session={number}", MANUAL[32]) for number in range(15)]
    rows += [(f"https://small.com/{number}", MANUAL[33] + DOSE * 2 + str(number)) for number in range(2)]
    half = len(rows) // 2
    for name, part in (("a", rows[:half]), ("b", rows[half:])):
        lines = (json.dumps({"url": url, "text": text}) for url, text in part)
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    source = {
        "files": [str(folder / "*.jsonl")],
        "name": "pages",
        "columns": {"text": "text", "url": "url"},
        "language": "en",
        "rules": "none",
    }
    value = {"name": "t", "root": str(folder / "root"), "inputs": [source], "sites": {"least_documents": 10} | section}
    return validate(value, "test")


def run(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Every site by name, from a run up to the domains."""
    results = pipeline.run(stages_of(recipe, "domains"), Console(quiet=True), verify=True, on_ray=False)
    assert not any(result.failed for result in results), [result.failed for result in results]
    rows: list[dict[str, Any]] = []
    for number in range(recipe.sites.partitions):
        rows += table.read_table(f"{recipe.root}/sites/{number:05d}.parquet").to_pylist()
    return {row["site"]: row for row in rows}


def kept(recipe: Recipe) -> int:
    shards = Path(recipe.root, "domains").rglob("*.parquet")
    return sum(sum(table.read_table(str(shard))["keep"].to_pylist()) for shard in shards)


def test_a_farm_is_dropped_whole_and_others_are_not(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    found = run(made)
    assert {site: [reason.split()[0] for reason in row["reasons_of_site"]] for site, row in found.items()} == {
        "docs.org": [],
        "farm.net": ["gambling_share"],
        "mirror.com": ["cloned_share"],
        "small.com": [],
    }
    assert found["docs.org"]["documents"] == 20
    assert dict(found["mirror.com"]["languages"]) == {"en": 15}
    assert found["mirror.com"]["kept"] == 1
    verdicts = [table.read_table(f"{made.root}/verdicts/dump=pages/{shard:05d}.parquet") for shard in (0, 1)]
    assert [reason for shard in verdicts for given in shard["reasons"].to_pylist() for reason in given] == []
    assert kept(made) == 20 + 1
    dropped = table.read_table(f"{made.root}/sites/dropped.parquet")
    assert dropped["site"].to_pylist() == ["farm.net", "mirror.com"]


def test_partitions_change_nothing(tmp_path: Path) -> None:
    whole = run(recipe(tmp_path))
    assert run(recipe(tmp_path, partitions=3)) == whole


def test_bounds_are_the_recipes(tmp_path: Path) -> None:
    run(recipe(tmp_path))
    assert kept(recipe(tmp_path)) == 21
    run(recipe(tmp_path, judge=False))
    assert kept(recipe(tmp_path)) == 20 + 12 + 1 + 1
    run(recipe(tmp_path, most={"gambling_share": None, "duplicate_share": 0.4}))
    dropped = table.read_table(str(tmp_path / "root/sites/dropped.parquet"))
    assert dropped["site"].to_pylist() == ["mirror.com"]
    assert dropped["reasons"].to_pylist()[0] == ["cloned_share 1 > 0.5", "duplicate_share 0.933 > 0.4"]


def test_an_allowed_site_is_kept(tmp_path: Path) -> None:
    (tmp_path / "allow.txt").write_text("farm.net\n")
    made = recipe(tmp_path)
    safety = made.safety.model_copy(update={"allow": (str(tmp_path / "allow.txt"),)})
    assert run(made.model_copy(update={"safety": safety}))["farm.net"]["keep"]


def documents(rows: list[tuple[str | None, bool, bool]]) -> pa.Table:
    return pa.table(
        {
            "site": pa.array([row[0] for row in rows], pa.string()),
            "length": pa.array([100] * len(rows), pa.int64()),
            "language": pa.array(["en"] * len(rows), pa.string()),
            "failed": pa.array([row[1] for row in rows], pa.bool_()),
            "duplicate": pa.array([row[2] for row in rows], pa.bool_()),
            "cluster_size": pa.array([1] * len(rows), pa.int32()),
            "cluster_dumps": pa.array([1] * len(rows), pa.int32()),
            "reasons": pa.array(
                [["words 3 < 50", "lines 1 < 2"] if row[1] else [] for row in rows], pa.list_(pa.string())
            ),
        }
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a.org", "b.org", None]), st.booleans(), st.booleans()), max_size=30),
    st.integers(0, 30),
)
def test_sums_of_parts_are_the_sums_of_all(rows: list[tuple[str | None, bool, bool]], at: int) -> None:
    parts = [site_stats.sums(documents(rows[:at])), site_stats.sums(documents(rows[at:]))]
    whole = site_stats.sums(documents(rows))
    assert site_stats.add_up(pa.concat_tables(parts)).equals(whole)
    judged = {
        row["site"]: row for row in site_stats.judge(whole, [site_stats.Bound("failed_share", 0.5)], 2).to_pylist()
    }
    for site in {row[0] for row in rows} - {None}:
        own = [row for row in rows if row[0] == site]
        failed = sum(row[1] for row in own)
        assert judged[site]["documents"] == len(own)
        assert judged[site]["kept"] == sum(not row[1] and not row[2] for row in own)
        assert dict(judged[site]["reasons"]) == ({"words": failed, "lines": failed} if failed else {})
        assert judged[site]["keep"] == (len(own) < 2 or failed / len(own) <= 0.5)
