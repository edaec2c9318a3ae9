"""`headwater plan`: what is done and what is to do, also where the dumps are out of reach."""

from pathlib import Path

import pytest
import yaml
from rich.console import Console

from pipelines import cli
from pipelines.engine import pipeline
from pipelines.stages import stages_of
from tests.pipelines.small_run import small_recipe, write_crawl

PHASES = ["extract", "filter", "dedup", "passages", "sites", "remix", "tokenizer", "tokens", "train"]


def _plan(
    tmp_path: Path, recipe: dict[str, object], capsys: pytest.CaptureFixture[str], *options: str
) -> dict[str, list[str]]:
    """The rows that the command prints: stage or phase, and its cells."""
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(recipe))
    assert cli.main(["plan", str(path), *options]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    return {words[0]: words[1:] for words in lines if len(words) > 3}


def test_what_is_done_and_what_is_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_crawl(tmp_path / "crawl")
    recipe = small_recipe(tmp_path / "crawl", tmp_path / "root")
    value = recipe.model_dump(mode="json")
    before = _plan(tmp_path, value, capsys)
    assert [name for name in before if name in (*PHASES, "quality")] == PHASES
    assert before["extract"][:3] == ["6", "0", "6"]
    assert before["filter"][:3] == ["24", "0", "24"]  # quality, personal, safety, verdicts
    assert before["tokens"][0].startswith("~")
    pipeline.run(stages_of(recipe, until="dedup"), Console(quiet=True), verify=True, on_ray=False)
    phases = _plan(tmp_path, value, capsys)
    assert phases["filter"][:3] == ["24", "24", "0"]
    assert phases["dedup"][1] == phases["dedup"][0] != "0"
    assert phases["dedup"][3] == phases["extract"][3]  # documents
    rows = _plan(tmp_path, value, capsys, "--detail")
    for stage in ("documents", "quality", "verdicts", "signatures", "duplicates"):
        assert rows[stage][:3] == ["6", "6", "0"], stage
    assert rows["domains"][:3] == ["6", "0", "6"]
    assert rows["token_shards"][:3] == ["?", "0", "?"]


def test_dumps_out_of_reach_are_counted_as_the_recipe_expects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crawl = {"crawl": str(tmp_path / "nowhere"), "dumps": ["CC-MAIN-2019-43", "CC-MAIN-2020-40"]}
    inputs = [crawl | {"expected_files": 105, "files_per_shard": 10}]
    rows = _plan(tmp_path, {"name": "far", "root": str(tmp_path / "root"), "inputs": inputs}, capsys, "--detail")
    assert rows["documents"][:3] == ["~22", "0", "22"]
    assert rows["quality"][:3] == ["~22", "0", "22"]
    assert rows["documents"][-1] == "core-h"  # by the benchmarks, before anything ran
    assert rows["tokenizer"][:3] == ["~1", "0", "1"]
