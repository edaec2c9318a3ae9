"""Stages run one after the other in this process, without Ray, after tasks of earlier stages that a test made up."""

from collections.abc import Iterable

from rich.console import Console

from pipelines.engine import pipeline
from pipelines.engine.pipeline import StageResult
from pipelines.engine.progress import RunProgress
from pipelines.engine.stage import Stage, Upstream


def run_each(stages: Iterable[Stage], upstream: Upstream, until: str = "") -> dict[str, StageResult]:
    """Run stages up to and with `until`, and add them to `upstream`; fail where a task fails."""
    results: dict[str, StageResult] = {}
    for stage in stages:
        progress = RunProgress([stage], Console(quiet=True))
        tasks = stage.plan(upstream)
        results[stage.name], made, counts = pipeline._run_stage(stage, tasks, progress, False, False, False)
        assert not results[stage.name].failed, results[stage.name].failed
        upstream.add(stage.name, made, counts)
        if stage.name == until:
            break
    return results
