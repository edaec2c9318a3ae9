"""Deduplication under faults: killed in any of its stages, on any number of workers, with any file cut short."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_run import outputs
from test_dedup_stage import Corpus, Documents, cut, near_copies

from corpus.errors import CorruptShard
from pipelines.engine import cluster, pipeline
from pipelines.engine.stage import Stage, Task
from pipelines.sections.dedup import DedupParameters
from pipelines.stages.dedup import dedup_stages

DUMPS = cut(near_copies(9, 120), [20, 25, 15, 22, 18])
NAMES = [stage.name for stage in dedup_stages("", DedupParameters())]
READERS = {  # the stage whose task reads a file of the folder
    "signatures": "texts",
    "dedup/texts": "copies",
    "dedup/copies": "shuffle",
    "dedup/shuffle": "candidates",
    "dedup/candidates": "forests",
    "dedup/forests": "components",
    "dedup/components": "members",
    "dedup/members": "clusters",
    "dedup/clusters": "fates",
    "dedup/fates": "duplicates",
    "duplicates": "curve",
}


def stages_at(root: Path) -> list[Stage]:
    section = DedupParameters(partitions=3, shards_per_group=1, keep=("length", "id"))
    return [Documents(str(root), Corpus(dumps=DUMPS)), *dedup_stages(str(root), section)]


def run(stages: list[Stage]) -> list[pipeline.StageResult]:
    results = pipeline.run(stages, Console(file=StringIO()), verify=True, on_ray=False)
    assert [result.failed for result in results if result.failed] == []
    return results


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """The root of a run that nothing disturbed, and the seconds of each stage."""
    root = tmp_path_factory.mktemp("finished")
    run(stages_at(root))
    again = tmp_path_factory.mktemp("again")
    return root, {result.stage: result.seconds for result in run(stages_at(again))}


def _child(root: Path, last: int, ready: Any) -> None:
    stages = stages_at(root)
    run(stages[:last])
    ready.set()
    run(stages[: last + 1])


def killed_in(name: str, seed: int, finished: tuple[Path, dict[str, float]], root: Path) -> bool:
    """Kill a run at a random moment of a stage, finish it, and compare; whether it was killed before its end."""
    whole, seconds = finished
    last = NAMES.index(name) + 1
    run(stages_at(root)[:last])
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_child, args=(root, last, ready))
    process.start()
    assert ready.wait(120)
    time.sleep(random.Random(f"{name} {seed}").random() * seconds[name])
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    run(stages_at(root))
    assert outputs(root) == outputs(whole)
    return process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("name", NAMES)
def test_killed_in_a_stage(name: str, finished: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    killed_in(name, 0, finished, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_killed_twenty_times(name: str, finished: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    struck = sum(killed_in(name, seed, finished, tmp_path / str(seed)) for seed in range(1, 21))
    assert struck >= 10


@pytest.mark.soak
def test_workers_make_no_difference(finished: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    for workers in (1, 2, 4):
        root = tmp_path / str(workers)
        stages = stages_at(root)
        run(stages[:1])
        with cluster.connected(workers):
            console = Console(file=StringIO())
            for last in range(2, len(stages) + 1):  # the documents' stage is of this file, which no worker knows
                results = pipeline.run(stages[:last], console, verify=False, on_ray=True)
                assert not any(result.failed for result in results)
        assert outputs(root) == outputs(finished[0])


@pytest.mark.parametrize("folder", READERS)
def test_a_truncated_file_is_refused_by_name(
    folder: str, finished: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    """The task that reads it says which; the run deletes it, makes it again, and ends with the same bytes."""
    root = tmp_path / "root"
    shutil.copytree(finished[0], root)
    path = max((root / folder).rglob("*.parquet"), key=lambda path: (path.stat().st_size, path.name))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 2 // 3])
    if folder == "dedup/forests":  # else its rounds are done, and read it no more
        shutil.rmtree(root / "dedup/components")
    with pytest.raises(CorruptShard, match=path.relative_to(root).as_posix()):
        read_all(root, READERS[folder])
    run(stages_at(root))
    assert outputs(root) == outputs(finished[0])


def read_all(root: Path, reader: str) -> None:
    """Do all tasks of a stage once more."""
    done: dict[str, list[Task]] = {}
    for stage in stages_at(root):
        done[stage.name] = stage.plan(done)
        if stage.name == reader:
            for task in done[reader]:
                stage.run(task)
