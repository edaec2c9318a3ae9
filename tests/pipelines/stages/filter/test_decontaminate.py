"""Decontamination in a run: what holds a benchmark item is dropped with its reason, and the report says where."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from corpus.errors import UsageError
from corpus.io import storage, table
from pipelines.config.recipe import Recipe, validate
from pipelines.engine import pipeline
from pipelines.stages import stages_of

QUESTION = (
    "Janet's ducks lay sixteen eggs per day. She eats three for breakfast every morning and bakes muffins for her "
    "friends every day with four. How much in dollars does she make every day at the market?"
)
CODE = "def has_close_elements(numbers, limit):\n    return any(abs(a - b) < limit for a in numbers for b in numbers)"


def recipe(folder: Path, **changes: object) -> Recipe:
    texts = [
        "A page about nothing in particular. " + QUESTION,
        "Nothing at all is on this page.",
        "# a module\n" + CODE,
    ]
    (folder / "pages.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    items = [{"question": QUESTION, "answer": "18"}, {"question": "Too short?", "answer": CODE}]
    (folder / "set.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    value = {
        "name": "t",
        "root": str(folder / "root"),
        "inputs": [{"files": [str(folder / "pages.jsonl")], "name": "pages", "language": "en", "rules": "none"}],
        "decontaminate": {"benchmarks": [{"name": "sums", "files": [str(folder / "set.jsonl")]}]},
    }
    return validate(value | changes, "test")


def run(recipe: Recipe) -> list[pipeline.StageResult]:
    return pipeline.run(stages_of(recipe, "filter"), Console(quiet=True), verify=True, on_ray=False)


def test_what_holds_an_item_is_dropped(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    assert not any(result.failed for result in run(made))
    root = tmp_path / "root"
    verdicts = table.read_table(str(root / "verdicts/dump=pages/00000.parquet")).to_pylist()
    assert [row["reasons"] for row in verdicts] == [["benchmark_items 1 > 0"], [], ["benchmark_items 1 > 0"]]
    report = storage.read_json(str(root / "contamination/report.json"))["benchmarks"]
    matches = report["sums"].pop("matches")
    assert report == {"sums": {"items": 2, "looked_for": 2, "found": 2, "documents": 2}}
    assert [(one["item"], one["field"], one["share"]) for one in matches] == [(0, "question", 1), (1, "answer", 1)]
    before = {path: path.read_bytes() for path in (root / "contamination").rglob("*.*") if path.is_file()}
    assert all(result.done_before == result.tasks for result in run(made))
    assert before == {path: path.read_bytes() for path in before}


def test_a_changed_set_is_looked_for_again(tmp_path: Path) -> None:
    run(recipe(tmp_path))
    made = recipe(tmp_path)
    (tmp_path / "set.jsonl").write_text(json.dumps({"question": "Where do the ducks of Janet go in the cold winter?"}))
    again = {result.stage: result.tasks - result.done_before for result in run(made)}
    assert {stage for stage, tasks in again.items() if tasks} == {
        "benchmarks",
        "contamination",
        "contamination_report",
        "verdicts",
    }
    assert all(table.read_table(str(tmp_path / "root/verdicts/dump=pages/00000.parquet"))["keep"].to_pylist())


def test_a_recipe_may_keep_them_and_only_be_told(tmp_path: Path) -> None:
    run(recipe(tmp_path, filter={"thresholds": {"always": {"benchmark_items": False}}}))
    assert all(table.read_table(str(tmp_path / "root/verdicts/dump=pages/00000.parquet"))["keep"].to_pylist())
    assert storage.read_json(str(tmp_path / "root/contamination/report.json"))["benchmarks"]["sums"]["found"] == 2


def test_a_bound_without_a_benchmark_is_refused(tmp_path: Path) -> None:
    bounded = {"thresholds": {"en": {"benchmark_items": {"max": 3}}}}
    with pytest.raises(UsageError, match="benchmark_items"):
        stages_of(recipe(tmp_path, decontaminate={}, filter=bounded))
