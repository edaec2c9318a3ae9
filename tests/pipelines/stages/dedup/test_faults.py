"""Deduplication under faults, of documents and inside them: killed in any of its stages, on any number of workers, with
any file cut short."""

import multiprocessing
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from corpus.errors import CorruptShard
from pipelines.config.dedup import DedupParameters
from pipelines.config.passages import PassageParameters
from pipelines.engine import cluster, pipeline
from pipelines.engine.run_task import Outcome
from pipelines.engine.stage import Stage, Task
from pipelines.stages.dedup.stages import dedup_stages
from pipelines.stages.passages.stages import passage_stages
from tests.pipelines.small_run import outputs
from tests.pipelines.stages.dedup.test_dedup import Corpus, Documents, Verdicts, cut, near_copies

KILLS = 20
LINES = [text.replace("x19 ", "x19\n").replace("x39 ", "x39\n") for text in near_copies(9, 120)]
DUMPS = cut(LINES, [20, 25, 15, 22, 18])
GIVEN = 2  # stages that are no part of it: documents and verdicts
READERS = {  # the stage whose task reads a file of the folder
    "signatures": "exact_keys",
    "dedup/exact_keys": "exact_edges",
    "dedup/exact_edges": "band_keys",
    "dedup/band_keys": "candidate_edges",
    "dedup/candidate_edges": "local_components",
    "dedup/local_components": "components",
    "dedup/components": "members",
    "dedup/members": "keepers",
    "dedup/keepers": "keepers_by_shard",
    "dedup/keepers_by_shard": "duplicates",
    "duplicates": "dedup_rate",
    "dedup/minimizers": "repeated_minimizers",
    "dedup/repeated_minimizers": "ngram_keys",
    "dedup/ngram_keys": "repeated_ngrams",
    "dedup/site_lines": "boilerplate",
    "dedup/repeated_ngrams": "repeat_positions",
    "dedup/boilerplate": "repeat_positions",
    "dedup/repeat_positions": "passages",
}


def stages_at(root: Path) -> list[Stage]:
    documents = DedupParameters(partitions=3, shards_per_group=1, keep=("length", "id"))
    strings = PassageParameters(
        words=16, partitions=3, shards_per_group=1, line_documents=2, line_share=0, line_bytes=1, least=0
    )
    given = [Documents(str(root), Corpus(dumps=DUMPS)), Verdicts(str(root), Corpus(dumps={}))]
    return [*given, *dedup_stages(str(root), documents), *passage_stages(str(root), strings)]


NAMES = [stage.name for stage in stages_at(Path())[GIVEN:]]


def run(stages: list[Stage]) -> list[pipeline.StageResult]:
    results = pipeline.run(stages, Console(file=StringIO()), verify=True, on_ray=False)
    assert [result.failed for result in results if result.failed] == []
    return results


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """The root of a run that nothing disturbed, and the seconds of each stage, at best."""
    root = tmp_path_factory.mktemp("finished")
    run(stages_at(root))
    again = [run(stages_at(tmp_path_factory.mktemp("again"))) for _ in range(2)]
    return root, {one.stage: min(one.seconds, two.seconds) for one, two in zip(*again)}


def _child(root: Path, name: str, seconds: float) -> None:
    """Go on with a run that has come to a stage, and kill it so long after the stage has begun."""
    run_here = cluster.run_here

    def timed(stage: Stage, tasks: Sequence[Task], finished: Callable[[Outcome], None]) -> None:
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        run_here(stage, tasks, finished)

    cluster.run_here = timed
    run(stages_at(root)[: GIVEN + NAMES.index(name) + 1])


def killed_in(name: str, seed: int, finished: tuple[Path, dict[str, float]], root: Path) -> bool:
    """Kill a run, whose stages before are done, at a random moment of a stage, finish it, and compare; whether the
    stage was killed before its end."""
    whole, seconds = finished
    wait = random.Random(f"{name} {seed}").random() * seconds[name]
    process = multiprocessing.get_context("fork").Process(target=_child, args=(root, name, wait))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    counts = pipeline.plan(stages_at(root)[: GIVEN + NAMES.index(name) + 1])[-1].counts
    run(stages_at(root))
    assert outputs(root) == outputs(whole)
    return None in counts


@pytest.mark.parametrize("name", NAMES)
def test_killed_in_a_stage(name: str, finished: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    run(stages_at(tmp_path)[: GIVEN + NAMES.index(name)])
    killed_in(name, 0, finished, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_killed_twenty_times(name: str, finished: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    """Twenty runs are killed in the stage, and end with the bytes of a run that nothing disturbed."""
    before = tmp_path / "before"
    run(stages_at(before)[: GIVEN + NAMES.index(name)])
    struck = 0
    for seed in range(1, KILLS + 1):
        root = Path(shutil.copytree(before, tmp_path / str(seed)))
        struck += killed_in(name, seed, finished, root)
        shutil.rmtree(root)
    print(f"{name}: {KILLS} kills, {struck} before the end of the stage; {KILLS} runs end byte-identical")
    assert struck >= KILLS // 4  # some stages take a millisecond


@pytest.mark.soak
def test_workers_make_no_difference(finished: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    for workers in (1, 2, 4):
        root = tmp_path / str(workers)
        stages = stages_at(root)
        run(stages[:GIVEN])
        with cluster.connected(workers):
            console = Console(file=StringIO())
            for last in range(GIVEN + 1, len(stages) + 1):  # what is given is made by stages that no worker knows
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
    if folder == "dedup/local_components":  # else its rounds are done, and read it no more
        shutil.rmtree(root / "dedup/components")
    with pytest.raises(CorruptShard, match=path.relative_to(root).as_posix()):
        read_all(root, READERS[folder])
    run(stages_at(root))
    assert outputs(root) == outputs(finished[0])


def read_all(root: Path, reader: str) -> None:
    """Do all tasks of a stage once more."""
    for planned in pipeline.plan(stages_at(root)):
        if planned.stage.name == reader:
            for task in planned.tasks:
                planned.stage.run(task)
