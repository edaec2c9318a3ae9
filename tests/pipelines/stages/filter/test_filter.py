"""The filter's stages: columns beside the documents, verdicts that follow their thresholds, work done only once."""

from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from corpus.errors import CorruptShard, UsageError
from corpus.io import table
from corpus.linguistic.measure import SIGNALS
from pipelines.config.recipe import Recipe, validate
from pipelines.engine.stage import Task
from pipelines.engine.stamps import counts_if_done
from pipelines.stages.filter.stages import filter_stages
from pipelines.stages.filter.verdicts import VerdictCounts
from tests.pipelines.stages.run_stages import run_stages

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),
        ("language_score", pa.float32()),
        ("length", pa.int64()),
        ("text", pa.large_string()),
    ]
)
PROSE = (
    "The committee met in the old town hall to discuss what should be done with the bridge that had carried "
    "travellers over the river for two hundred years. Some of them wanted to have it repaired, and others said "
    "that a new one would cost less and be safer. After a long evening they agreed to ask an engineer."
)
ROWS = [
    ("a" * 32, "en", 0.9, PROSE),
    ("b" * 32, "en", 0.9, "too short"),
    ("c" * 32, "de", 0.9, "der Fluss"),
    ("d" * 32, "zh", 0.3, "短"),
]
DOCUMENTS = ["documents/dump=CC-MAIN-2019-43/00000.parquet", "documents/dump=code/00000.parquet"]


def recipe(root: Path, **filters: Any) -> Recipe:
    inputs = [
        {"crawl": "/nowhere", "dumps": ["CC-MAIN-2019-43"]},
        {"files": ["/nowhere/*.py"], "name": "code", "rules": "none"},
    ]
    return validate({"name": "t", "root": str(root), "inputs": inputs, "filter": filters}, "test")


@pytest.fixture
def documents(tmp_path: Path) -> list[Task]:
    tasks = []
    for path in DOCUMENTS:
        with table.ShardWriter(str(tmp_path / path), SCHEMA) as writer:
            for part in (ROWS[:3], ROWS[3:]):
                values = [(*row[:3], len(row[3].encode()), row[3]) for row in part]
                writer.write(pa.table([pa.array(c, f.type) for c, f in zip(zip(*values), SCHEMA)], schema=SCHEMA))
        tasks.append(Task("documents", path, (), {}, "f"))
    return tasks


def run(root: Path, recipe: Recipe, documents: list[Task]) -> dict[str, list[Task]]:
    """Plan the stages and run what is not done; the tasks that were run, by stage."""
    return run_stages(filter_stages(str(root), recipe), {"documents": documents})


def test_documents_are_measured_and_judged(tmp_path: Path, documents: list[Task]) -> None:
    ran = run(tmp_path, recipe(tmp_path), documents)
    assert [task.output for task in ran["verdicts"]] == [path.replace("documents", "verdicts") for path in DOCUMENTS]
    quality = table.read_table(str(tmp_path / "quality/dump=CC-MAIN-2019-43/00000.parquet"))
    assert quality.column_names == ["id", *SIGNALS]
    verdicts = table.read_table(str(tmp_path / "verdicts/dump=CC-MAIN-2019-43/00000.parquet")).to_pylist()
    assert [row["id"] for row in verdicts] == [row[0] for row in ROWS]
    assert [row["keep"] for row in verdicts] == [True, False, False, False]
    assert verdicts[1]["reasons"][0] == "words 2 < 50"
    assert verdicts[2]["reasons"] == ["language de not in en,zh"]
    assert verdicts[3]["reasons"] == ["language_score 0.3 < 0.5"]


def test_counts_tell_what_was_kept_and_why_not(tmp_path: Path, documents: list[Task]) -> None:
    tasks = run(tmp_path, recipe(tmp_path), documents)["verdicts"]
    counts = cast(VerdictCounts, counts_if_done(str(tmp_path), tasks[0], False))
    lengths = [len(row[3].encode()) for row in ROWS]
    assert (counts["documents"], counts["kept"], counts["bytes"], counts["kept_bytes"]) == (
        4,
        1,
        sum(lengths),
        lengths[0],
    )
    assert counts["reasons"]["language"] == counts["reasons"]["language_score"] == counts["reasons"]["words"] == 1
    assert counts["languages"]["en"] == {"documents": 2, "kept": 1, "bytes": sum(lengths[:2]), "kept_bytes": lengths[0]}
    assert set(counts["languages"]) == {"en", "de", "zh"}


def test_a_source_without_rules_is_kept_whole(tmp_path: Path, documents: list[Task]) -> None:
    run(tmp_path, recipe(tmp_path), documents)
    verdicts = table.read_table(str(tmp_path / "verdicts/dump=code/00000.parquet"))
    assert all(verdicts["keep"].to_pylist())


def test_thresholds_recompute_verdicts_alone(tmp_path: Path, documents: list[Task]) -> None:
    run(tmp_path, recipe(tmp_path), documents)
    assert not any(run(tmp_path, recipe(tmp_path), documents).values())
    before = (tmp_path / "quality/dump=code/00000.parquet").read_bytes()
    rules = {"words": {"min": 1}, "stop_words_en": False, **{f"top_{n}_gram": False for n in (2, 3, 4)}}
    ran = run(tmp_path, recipe(tmp_path, thresholds={"en": rules}), documents)
    assert (len(ran["quality"]), len(ran["verdicts"])) == (0, 2)
    assert (tmp_path / "quality/dump=code/00000.parquet").read_bytes() == before
    verdicts = table.read_table(str(tmp_path / "verdicts/dump=CC-MAIN-2019-43/00000.parquet"))
    assert verdicts["keep"].to_pylist() == [True, True, False, False]


def test_rules_of_one_input_leave_the_others_verdicts(tmp_path: Path, documents: list[Task]) -> None:
    first = recipe(tmp_path)
    run(tmp_path, first, documents)
    changed = first.model_copy(
        update={"inputs": [first.inputs[0], first.inputs[1].model_copy(update={"rules": "auto"})]}
    )
    assert [task.output for task in run(tmp_path, changed, documents)["verdicts"]] == [
        "verdicts/dump=code/00000.parquet"
    ]


def test_a_join_with_other_documents_is_refused(tmp_path: Path, documents: list[Task]) -> None:
    run(tmp_path, recipe(tmp_path), documents)
    other = tmp_path / DOCUMENTS[0]
    rows = table.read_table(str(other))
    with table.ShardWriter(str(other), SCHEMA) as writer:
        writer.write(rows.slice(1))
    with pytest.raises(CorruptShard, match="ids"):
        run(tmp_path, recipe(tmp_path, languages=["en"]), documents)


def test_a_recipe_with_a_wrong_signal_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean `mean_word_length`"):
        recipe(tmp_path, thresholds={"en": {"mean_word_lenght": {"max": 9}}})
    with pytest.raises(UsageError, match="`eng` would apply to no document; give always, default, en, zh"):
        recipe(tmp_path, thresholds={"eng": {"words": {"max": 9}}})
    with pytest.raises(UsageError, match="unknown key"):
        recipe(tmp_path, thresholds={"en": {"words": {"mn": 9}}})
