"""Running stages in order: plan each, skip what is done, run the rest, go on past what had to be set aside.

A rerun does nothing; a changed parameter recomputes what depends on it; a killed run goes on where it stopped. A
shard that turns out to be corrupt while it is read is deleted, and the run starts over from the first stage. That costs
only the check of what is done, and makes that one shard again.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console

from corpus.io import storage
from pipelines.engine import cluster
from pipelines.engine.progress import RunProgress
from pipelines.engine.run_task import Outcome
from pipelines.engine.stage import Counts, NotPlanned, Stage, Task, Upstream
from pipelines.engine.stamps import add_counts, counts_if_done

CHECKERS = 16  # threads that look for finished outputs
REPAIRS = 3  # how often one run starts over because of a corrupt shard


@dataclass
class StageResult:
    """What a stage did in this run, as runs/*.json keeps it. `counts` covers every task that is done, now or before."""

    stage: str
    phase: str
    tasks: int
    done_before: int
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # summed over tasks
    documents: int = 0  # handled in this run
    bytes: int = 0
    peak_rss_bytes: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)


@dataclass
class StagePlan:
    """The tasks of a stage, and the counts of those that are done, in the order of the tasks (None: to do)."""

    stage: Stage
    tasks: list[Task]
    counts: list[Counts | None]
    why_not: str = ""  # set where the tasks cannot be named yet


class _Corrupt(Exception):
    pass


def check(stage: Stage, tasks: Sequence[Task], verify: bool) -> list[Counts | None]:
    """The counts of each task that is done; None for each that is to do."""
    with ThreadPoolExecutor(CHECKERS) as pool:
        look = pool.map if len(tasks) > 1 else map  # no threads for one task
        return list(look(lambda task: counts_if_done(stage.root, task, verify), tasks))


def plan(stages: Sequence[Stage]) -> list[StagePlan]:
    """Plan all stages without running any."""
    upstream = Upstream()
    plans: list[StagePlan] = []
    for stage in stages:
        unknown = next((earlier.stage.name for earlier in plans if earlier.why_not), "")
        try:
            tasks = stage.plan(upstream)
            if not tasks and unknown:
                raise NotPlanned(f"needs the shards of {unknown}")
        except NotPlanned as error:
            plans.append(StagePlan(stage, [], [], str(error)))
        else:
            counts = check(stage, tasks, verify=False)
            upstream.add(stage.name, tasks, counts)
            plans.append(StagePlan(stage, tasks, counts))
    return plans


def run(
    stages: Sequence[Stage], console: Console, verify: bool, on_ray: bool = True, detail: bool = False
) -> list[StageResult]:
    """Run every stage that is not done; the results say what failed.

    `verify` checks every byte of finished outputs, not only their stamps. `detail` tells of every stage, not only of
    phases.
    """
    for _ in range(REPAIRS):
        try:
            with RunProgress(stages, console, detail) as progress:
                results = _run_once(stages, progress, verify, on_ray)
            break
        except _Corrupt as error:
            console.print(f"{error}: deleted, it will be made again", style="yellow", highlight=False, markup=False)
    else:
        with RunProgress(stages, console, detail) as progress:
            results = _run_once(stages, progress, True, on_ray, repair=False)
    if stages and any(result.seconds for result in results):
        storage.remove_leftovers(stages[0].root)
    return results


def _run_once(
    stages: Sequence[Stage], progress: RunProgress, verify: bool, on_ray: bool, repair: bool = True
) -> list[StageResult]:
    upstream = Upstream()
    results = []
    for stage in stages:
        try:
            tasks = stage.plan(upstream)
        except NotPlanned as error:
            failure = {"output": stage.name, "message": f"not started: {error}"}
            results.append(StageResult(stage.name, stage.phase, 0, 0, failed=[failure]))
            break
        result, made, counts = _run_stage(stage, tasks, progress, verify, on_ray, repair)
        results.append(result)
        upstream.add(stage.name, made, counts)
        if not made and tasks:
            break
    return results


def _run_stage(
    stage: Stage, tasks: Sequence[Task], progress: RunProgress, verify: bool, on_ray: bool, repair: bool
) -> tuple[StageResult, list[Task], list[Counts]]:
    counts = dict(zip((task.output for task in tasks), check(stage, tasks, verify), strict=True))
    todo = [task for task in tasks if counts[task.output] is None]
    result = StageResult(stage.name, stage.phase, len(tasks), len(tasks) - len(todo))
    progress.begin(stage, len(tasks), len(todo))
    if todo:
        start = time.monotonic()

        def finished(outcome: Outcome) -> None:
            progress.advance(outcome.counts, bool(outcome.message))
            result.cpu_seconds += outcome.seconds
            result.peak_rss_bytes = max(result.peak_rss_bytes, outcome.peak_rss_bytes)
            if repair and outcome.corrupt and outcome.corrupt.startswith(stage.root):
                storage.delete(outcome.corrupt)
                raise _Corrupt(outcome.message.split(";")[0])
            if outcome.message:
                result.failed.append({"output": outcome.task.output, "message": outcome.message})
                line = f"set aside {outcome.task.output}: {outcome.message}"
                progress.console.print(line, style="red", highlight=False, markup=False)
                if outcome.trace:
                    progress.console.print(outcome.trace, style="dim", highlight=False, markup=False)
            else:
                counts[outcome.task.output] = outcome.counts

        (cluster.run_on_ray if on_ray else cluster.run_here)(stage, todo, finished)
        result.seconds = time.monotonic() - start
        result.documents, result.bytes = progress.stage.documents, progress.stage.bytes
    progress.end()
    made = [(task, found) for task in tasks if (found := counts[task.output]) is not None]
    for _, found in made:
        add_counts(result.counts, found)
    return result, [task for task, _ in made], [found for _, found in made]


def write_run(root: str, results: Sequence[StageResult]) -> None:
    """Keep what a run did, with its times, as the next runs/NNNNN.json; a run that did nothing leaves no file."""
    if any(result.seconds or result.failed for result in results):
        names = [info.path.rsplit("/", 1)[1] for info in storage.list_files(storage.join(root, "runs"), ".json")]
        number = max((int(name[:-5]) + 1 for name in names if name[:-5].isdigit()), default=0)
        storage.write_json(storage.join(root, f"runs/{number:05d}.json"), [asdict(result) for result in results])
