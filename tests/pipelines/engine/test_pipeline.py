"""The stage protocol: what is done is known from outputs alone, and nothing else is recomputed."""

from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import BaseModel
from rich.console import Console

from corpus.errors import HeadwaterError
from corpus.io.table import ShardWriter, iter_batches
from pipelines.engine import cluster, pipeline
from pipelines.engine.stage import Counts, Source, Stage, Task, Upstream, fingerprint
from pipelines.engine.stamps import add_counts

SCHEMA = pa.schema([("value", pa.int64())])


class Times(BaseModel):
    """Parameters of the stages below."""

    factor: int = 1
    fail: str = ""


def _write(stage: Stage[Times], task: Task, values: list[int]) -> Counts:
    counts: Counts = {"documents": len(values), "bytes": 8 * len(values)}
    with ShardWriter(stage.path(task.output), SCHEMA) as writer:
        writer.write(pa.table({"value": values}, SCHEMA))
        writer.metadata = task.stamp(counts)
    with open(stage.path("log"), "a") as log:
        log.write(task.output + "\n")
    return counts


class Make(Stage[Times]):
    """Three shards out of nothing."""

    name = "make"
    phase = "make"

    def plan(self, upstream: Upstream) -> list[Task]:
        return [self.task(f"make/{i}.parquet", [Source(f"raw{i}", "1")], start=i) for i in range(3)]

    def run(self, task: Task) -> Counts:
        if self.parameters.fail and self.parameters.fail in task.output:
            raise HeadwaterError(f"{task.output}: cannot be made")
        return _write(self, task, [task.arguments["start"] * 10 + k for k in range(5)])


class Multiply(Stage[Times]):
    """A shard for each shard."""

    name = "multiply"
    phase = "multiply"

    def plan(self, upstream: Upstream) -> list[Task]:
        return [self.task(task.output.replace("make", "multiply"), [task]) for task in upstream["make"]]

    def run(self, task: Task) -> Counts:
        values = [v for batch in iter_batches(self.path(task.inputs[0])) for v in batch["value"].to_pylist()]
        return _write(self, task, [v * self.parameters.factor for v in values])


def _run(root: Path, factor: int = 1, fail: str = "") -> tuple[list[pipeline.StageResult], list[str]]:
    """Run both stages here; the results, and the outputs that were computed in this run."""
    root.mkdir(exist_ok=True)
    log = root / "log"
    log.write_text("")
    stages: list[Stage] = [Make(str(root), Times(fail=fail)), Multiply(str(root), Times(factor=factor))]
    results = pipeline.run(stages, Console(quiet=True), verify=True, on_ray=False)
    return results, log.read_text().split()


def _bytes(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


def test_a_rerun_does_nothing(tmp_path: Path) -> None:
    results, ran = _run(tmp_path / "a")
    assert len(ran) == 6
    assert results[1].counts == {"documents": 15, "bytes": 120}
    again, ran = _run(tmp_path / "a")
    assert ran == []
    assert [result.done_before for result in again] == [3, 3]
    assert again[1].counts == results[1].counts


def test_a_changed_parameter_recomputes_what_depends_on_it(tmp_path: Path) -> None:
    _run(tmp_path / "a")
    _, ran = _run(tmp_path / "a", factor=2)
    assert sorted(ran) == ["multiply/0.parquet", "multiply/1.parquet", "multiply/2.parquet"]
    _run(tmp_path / "b", factor=2)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")


@pytest.mark.parametrize("harm", ["missing", "cut", "empty", "flipped", "foreign"])
@pytest.mark.parametrize("stage", ["make", "multiply"])
def test_a_harmed_output_is_found_and_redone(tmp_path: Path, harm: str, stage: str) -> None:
    _run(tmp_path / "a")
    before = _bytes(tmp_path / "a")
    path = tmp_path / "a" / stage / "1.parquet"
    raw = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(raw[: len(raw) // 2])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "flipped":
        raw[20] ^= 1
        path.write_bytes(raw)
    else:
        path.write_bytes(before[f"{stage}/2.parquet"])
    _, ran = _run(tmp_path / "a")
    assert ran == [f"{stage}/1.parquet"]
    assert _bytes(tmp_path / "a") == before


def test_a_poisoned_shard_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    results, ran = _run(tmp_path / "a", fail="make/1")
    assert [failure["message"] for failure in results[0].failed] == ["make/1.parquet: cannot be made"]
    assert sorted(ran) == ["make/0.parquet", "make/2.parquet", "multiply/0.parquet", "multiply/2.parquet"]


def test_a_shard_found_corrupt_while_read_is_made_again(tmp_path: Path) -> None:
    _run(tmp_path / "a")
    before = _bytes(tmp_path / "a")
    for name in before:
        path = tmp_path / "a" / name
        if name == "make/1.parquet":
            raw = bytearray(before[name])
            raw[4:40] = bytes(36)
            path.write_bytes(raw)
        if name == "multiply/1.parquet":
            path.unlink()
    stages: list[Stage] = [Make(str(tmp_path / "a"), Times()), Multiply(str(tmp_path / "a"), Times())]
    results = pipeline.run(stages, Console(quiet=True), verify=False, on_ray=False)
    assert not any(result.failed for result in results)
    assert _bytes(tmp_path / "a") == before


def test_a_deleted_record_of_a_run_does_not_cost_another_one(tmp_path: Path) -> None:
    results = [pipeline.StageResult("make", "make", 1, 0, seconds=1.0)]
    for _ in range(3):
        pipeline.write_run(str(tmp_path), results)
    (tmp_path / "runs/00000.json").unlink()
    pipeline.write_run(str(tmp_path), results)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [f"0000{n}.json" for n in (1, 2, 3)]


def test_plan_runs_nothing(tmp_path: Path) -> None:
    stages: list[Stage] = [Make(str(tmp_path), Times()), Multiply(str(tmp_path), Times())]
    plans = pipeline.plan(stages)
    assert [(len(plan.tasks), plan.counts) for plan in plans] == [(3, [None] * 3)] * 2
    assert list(tmp_path.iterdir()) == []


def test_fingerprints_cover_everything_that_decides_the_bytes() -> None:
    def of(**changes: object) -> str:
        stage = Multiply("root", Times(factor=int(str(changes.get("factor", 1)))))
        source = Source(str(changes.get("path", "a")), str(changes.get("mark", "1")))
        return stage.task(str(changes.get("output", "o")), [source], extra=changes.get("extra", 0)).fingerprint

    variants = [of(), of(factor=2), of(mark="2"), of(output="p"), of(extra=1)]
    assert len(set(variants)) == len(variants)
    assert Multiply("elsewhere", Times()).task("o", [Source("b", "1")], extra=0).fingerprint == of()
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def test_counts_add_up_at_every_level() -> None:
    total: Counts = {}
    for counts in ({"n": 1, "by": {"x": 1}}, {"n": 2, "by": {"x": 3, "y": 0.5}}):
        add_counts(total, counts)
    assert total == {"n": 3, "by": {"x": 4, "y": 0.5}}


@pytest.mark.ray
def test_on_ray_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    import sys

    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    expected = tmp_path / "here"
    _run(expected, factor=3)
    for workers in (1, 2):
        root = tmp_path / str(workers)
        root.mkdir()
        stages: list[Stage] = [Make(str(root), Times()), Multiply(str(root), Times(factor=3))]
        with cluster.connected(workers):
            results = pipeline.run(stages, Console(quiet=True), verify=True)
        assert not any(result.failed for result in results)
        assert _bytes(root) == _bytes(expected)
