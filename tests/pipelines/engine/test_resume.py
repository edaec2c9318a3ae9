"""A run killed anywhere goes on and ends with the bytes of one that was not; so do other worker counts."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from corpus.io import table
from pipelines.config.recipe import Recipe
from pipelines.engine import pipeline
from pipelines.stages import stages_of
from tests.pipelines.small_run import outputs, small_recipe, write_crawl

GROUPS = ("extract", "filter", "dedup", "passages", "remix", "tokenizer", "tokens")
WORKING = ("train/metrics.jsonl", "train/checkpoints")  # the trainer's working state holds times


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    write_crawl(folder)
    return folder


def _run(recipe: Recipe, until: str | None = None) -> list[pipeline.StageResult]:
    results = pipeline.run(stages_of(recipe, until=until), Console(quiet=True), verify=True, on_ray=False)
    assert [result.failed for result in results if result.failed] == []
    return results


@pytest.fixture(scope="module")
def finished(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a whole run up to the token shards that nothing disturbed."""
    root = tmp_path_factory.mktemp("finished")
    _run(small_recipe(crawl, root), "tokens")
    return root


def _files(root: Path) -> dict[str, bytes]:
    return {name: data for name, data in outputs(root).items() if not name.startswith(WORKING)}


def _start(recipe: Recipe, folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    command = [sys.executable, "-m", "pipelines", "run", str(path), "--no-report", *options]
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _written(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.relative_to(root).parts[0] != "runs"}  # the lock is taken first


@pytest.mark.parametrize("group", GROUPS)
def test_killed_while_a_stage_writes(crawl: Path, finished: Path, tmp_path: Path, group: str) -> None:
    """SIGKILL when the stage has begun to write, at a random moment of its writing, then run again."""
    root = tmp_path / "root"
    recipe = small_recipe(crawl, root)
    before = GROUPS.index(group)
    if before:
        _run(recipe, GROUPS[before - 1])
    there = _written(root)
    chance = random.Random(group)
    process = _start(recipe, tmp_path, "--workers", "0", "--until", group)
    while process.poll() is None and _written(root) <= there:
        time.sleep(0.002)
    time.sleep(chance.random() * 0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _run(recipe, "tokens")
    assert _files(root) == _files(finished)


def test_killed_on_ray_and_run_again_with_other_workers(crawl: Path, finished: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    recipe = small_recipe(crawl, root)
    process = _start(recipe, tmp_path, "--workers", "2", "--until", "tokens")
    while process.poll() is None and not list(root.glob("signatures/*/*.parquet")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process = _start(recipe, tmp_path, "--workers", "1", "--until", "tokens")
    assert process.wait(240) == 0, (tmp_path / "log").read_text()
    assert _files(root) == _files(finished)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_killed_again_and_again(crawl: Path, finished: Path, tmp_path: Path, seed: int) -> None:
    """SIGKILL at random moments, whatever the run is doing, until it gets through; on Ray for every fourth seed."""
    root = tmp_path / "root"
    recipe = small_recipe(crawl, root)
    chance = random.Random(seed)
    workers = "2" if seed % 4 == 0 else "0"
    for patience in range(2, 40):
        process = _start(recipe, tmp_path, "--workers", workers, "--until", "tokens")
        try:
            assert process.wait(chance.uniform(1, 3) * patience) == 0, (tmp_path / "log").read_text()
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert _files(root) == _files(finished)


def _changed(finished: Path, crawl: Path, tmp_path: Path, **changes: Any) -> dict[str, tuple[int, int]]:
    """Run a changed recipe over a copy of the finished root; shards and those already done, by stage."""
    import shutil

    root = tmp_path / "root"
    shutil.copytree(finished, root)
    results = _run(small_recipe(crawl, root, **changes), "tokens")
    return {result.stage: (result.tasks, result.done_before) for result in results}


def test_a_rerun_does_nothing(finished: Path, crawl: Path, tmp_path: Path) -> None:
    for stage, (tasks, done) in _changed(finished, crawl, tmp_path).items():
        assert tasks == done, stage


def test_a_threshold_recomputes_verdicts_and_what_follows_but_no_measurement(
    finished: Path, crawl: Path, tmp_path: Path
) -> None:
    done = _changed(finished, crawl, tmp_path, filter={"language_score": 0.95})
    for stage in ("documents", "quality", "signatures", "candidate_edges", "components"):
        assert done[stage][0] == done[stage][1], stage
    assert done["verdicts"][1] == 0
    assert done["mixture"][1] == 0


def test_the_vocabulary_recomputes_the_tokenizer_and_the_tokens_only(
    finished: Path, crawl: Path, tmp_path: Path
) -> None:
    changes = {"tokenizer": small_recipe(crawl, "x").tokenizer.model_dump() | {"vocab_size": 400}}
    done = _changed(finished, crawl, tmp_path, **changes)
    for stage in ("documents", "quality", "verdicts", "signatures", "duplicates", "domains", "mixture"):
        assert done[stage][0] == done[stage][1], stage
    assert done["tokenizer"][1] == 0


def test_a_new_dump_leaves_the_others_as_they_are(crawl: Path, tmp_path: Path) -> None:
    recipe = small_recipe(crawl, tmp_path / "root")
    two = recipe.inputs[0].model_copy(update={"dumps": recipe.inputs[0].dumps[:2]})  # type: ignore[union-attr]
    _run(recipe.model_copy(update={"inputs": [two]}), "dedup")
    results = {result.stage: result for result in _run(recipe, "dedup")}
    for stage in ("documents", "quality", "verdicts", "signatures"):
        assert (results[stage].tasks, results[stage].done_before) == (6, 4), stage


@pytest.mark.parametrize(
    "place", ["documents", "quality", "signatures", "duplicates", "dedup/ngram_keys", "passages", "tokens", "tokenizer"]
)
def test_a_corrupted_output_is_found_and_redone(crawl: Path, finished: Path, tmp_path: Path, place: str) -> None:
    import shutil

    root = tmp_path / "root"
    shutil.copytree(finished, root)
    chance = random.Random(place)
    kinds = (".parquet", ".bin", ".idx") if place != "tokenizer" else ("tokenizer.json",)
    for path in sorted(path for path in (root / place).rglob("*") if path.name.endswith(kinds)):
        raw = bytearray(path.read_bytes())
        if chance.random() < 0.5:
            raw[chance.randrange(len(raw))] ^= 0x55
        else:
            raw = raw[: chance.randrange(len(raw))]
        path.write_bytes(raw)
    _run(small_recipe(crawl, root), "tokens")
    assert _files(root) == _files(finished)


def test_the_run_cuts_passages(finished: Path) -> None:
    """What the other tests here compare has to hold spans."""
    rows = [row for path in finished.glob("passages/*/*.parquet") for row in table.read_table(str(path)).to_pylist()]
    assert "passage" in {span["kind"] for row in rows for span in row["spans"]}
