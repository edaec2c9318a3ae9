"""Running tasks on Ray: a bounded number of plain tasks at a time; on actors where a model is worth keeping.

Paths travel through Ray, rows do not. Ray schedules the tasks, runs those of a lost node again, and grows the cluster.
What is here only keeps enough tasks submitted, tries a failed one again after a pause, and sets aside one that keeps
failing. So one poisoned shard does not stop a dump.
"""

import heapq
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from corpus.errors import UsageError
from pipelines.engine.run_task import Outcome, execute
from pipelines.engine.stage import Stage, Task

ATTEMPTS = 3  # how often a task is tried before it is set aside
FIRST_PAUSE = 1.0  # seconds before the second try; four times as long before each next one
NODE_LOSSES = 8  # after how many lost workers or nodes Ray still runs one task again
TASKS_PER_CPU = 3  # submitted at a time for each CPU: enough to hide the submission, few enough to stay cheap


@contextmanager
def connected(workers: int | None = None) -> Iterator[None]:
    """Use the cluster of RAY_ADDRESS, as in a submitted job, or else an embedded one of `workers` CPUs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if not sys.stdout.isatty():
        os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # the lines of workers, without colours in a log
    import ray

    if ray.is_initialized():
        yield
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(address=os.environ["RAY_ADDRESS"], logging_level="warning", log_to_driver=True)
    else:
        cpus = workers or os.cpu_count() or 1
        ray.init(num_cpus=cpus, include_dashboard=False, logging_level="warning", log_to_driver=True)
    try:
        yield
    finally:
        ray.shutdown()


def run_on_ray(stage: Stage, tasks: Sequence[Task], finished: Callable[[Outcome], None]) -> None:
    """Run the tasks on the connected cluster; `finished` is called with each final outcome, in order of completion."""
    import ray

    cpus = max(1.0, ray.cluster_resources().get("CPU", 1.0))
    submit = _submitter(ray, stage, cpus, len(tasks))
    waiting = list(reversed(tasks))
    paused: list[tuple[float, int, Task]] = []  # (time to try again, order, task)
    tries: dict[str, int] = {}
    running: dict[Any, Task] = {}
    while waiting or paused or running:
        while paused and paused[0][0] <= time.monotonic():
            waiting.append(heapq.heappop(paused)[2])
        limit = int(TASKS_PER_CPU * max(cpus, ray.cluster_resources().get("CPU", 1.0)))
        while waiting and len(running) < limit:
            task = waiting.pop()
            running[submit(task)] = task
        if not running:
            time.sleep(max(0.0, paused[0][0] - time.monotonic()))
            continue
        ready, _ = ray.wait(list(running), num_returns=1, timeout=0.5)
        for reference in ready:
            task = running.pop(reference)
            outcome = _collect(ray, reference, task)
            tries[task.output] = tries.get(task.output, 0) + 1
            if outcome.message and not outcome.lasting and tries[task.output] < ATTEMPTS:
                pause = FIRST_PAUSE * 4 ** (tries[task.output] - 1)
                heapq.heappush(paused, (time.monotonic() + pause, len(tries), task))
            else:
                finished(outcome)


def _submitter(ray: Any, stage: Stage, cpus: float, tasks: int) -> Callable[[Task], Any]:
    """What starts a task: a remote function, or for a stage that keeps a model its actors in turn.

    The actors are as many as fit into the cluster and are gone when the returned function is.
    """
    options = {"num_cpus": min(stage.num_cpus, cpus), "num_gpus": stage.num_gpus}
    shared = ray.put(stage)
    if not stage.keeps_model:
        work = ray.remote(execute).options(**options, max_retries=NODE_LOSSES, name=stage.name)
        return lambda task: work.remote(shared, task)
    fitting = cpus / stage.num_cpus
    if stage.num_gpus:
        gpus = ray.cluster_resources().get("GPU", 0.0)
        if not gpus and not os.environ.get("RAY_ADDRESS"):
            raise UsageError(
                f"{stage.name}: it asks for {stage.num_gpus:g} GPUs, and this machine has none; set gpus: 0"
            )
        fitting = min(fitting, gpus / stage.num_gpus)
    worker = ray.remote(ModelWorker).options(**options, max_restarts=NODE_LOSSES, max_task_retries=NODE_LOSSES)
    actors = [worker.remote(shared) for _ in range(max(1, min(int(fitting), tasks)))]
    turn = itertools.cycle(actors)
    return lambda task: next(turn).execute.remote(task)


class ModelWorker:
    """An actor that does the tasks of one stage; what the stage loads stays in its process."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def execute(self, task: Task) -> Outcome:
        """Run a task here."""
        return execute(self.stage, task)


def _collect(ray: Any, reference: Any, task: Task) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # `execute` never raises: the worker could not even load the task
        return Outcome(task, message=f"the worker cannot load the task: {str(error).splitlines()[-1]}")
    except ray.exceptions.RayError as error:
        return Outcome(task, message=f"the worker was lost {NODE_LOSSES} times: {str(error).splitlines()[0]}")
    return outcome


def run_here(stage: Stage, tasks: Sequence[Task], finished: Callable[[Outcome], None]) -> None:
    """Run the tasks in this process, one after the other, without Ray."""
    for task in tasks:
        outcome = execute(stage, task)
        for attempt in range(1, ATTEMPTS):
            if not outcome.message or outcome.lasting:
                break
            time.sleep(FIRST_PAUSE * 4 ** (attempt - 1))
            outcome = execute(stage, task)
        finished(outcome)
