"""Running a few stages on tables that a test wrote itself."""

from collections.abc import Mapping, Sequence

from pipelines.engine.stage import Stage, Task, Upstream
from pipelines.engine.stamps import counts_if_done


def upstream_of(given: Mapping[str, Sequence[Task]]) -> Upstream:
    """The tasks of earlier stages, by stage."""
    upstream = Upstream()
    for name, tasks in given.items():
        upstream.add(name, tasks)
    return upstream


def run_stages(stages: Sequence[Stage], given: Mapping[str, Sequence[Task]]) -> dict[str, list[Task]]:
    """Plan stages in order and run what is not done; the tasks that were run, by stage.

    `given` are the tasks of the stages before them.
    """
    upstream, ran = upstream_of(given), {}
    for stage in stages:
        planned = stage.plan(upstream)
        ran[stage.name] = [task for task in planned if counts_if_done(stage.root, task, False) is None]
        for task in ran[stage.name]:
            assert stage.run(task) == counts_if_done(stage.root, task, True)
        upstream.add(stage.name, planned, [counts_if_done(stage.root, task, False) for task in planned])
    return ran
