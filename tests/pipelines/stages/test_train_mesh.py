"""The train stage on a mesh of two processes: forks of the engine's process, torchrun's, or actors on Ray."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.config.train import TrainParameters
from pipelines.engine import cluster, pipeline
from pipelines.stages.train import TrainStage
from tests.pipelines.stages.test_train import INPUTS, PARAMETERS, made_root
from train.distributed.parallel_dims import ParallelDims
from train.metrics import read_metrics

MESH = PARAMETERS.model_copy(update={"mesh": ParallelDims(dp=2), "checkpoint_seconds": 0})


@pytest.fixture(autouse=True, scope="module")
def _alone() -> Iterator[None]:
    """The stage without those before it."""
    plan = TrainStage.plan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStage, "plan", lambda self, upstream: plan(self, INPUTS))
        yield


def trained(root: str, parameters: TrainParameters, on_ray: bool) -> dict:
    (result,) = pipeline.run([TrainStage(root, parameters)], Console(quiet=True), verify=True, on_ray=on_ray)
    assert result.failed == []
    return json.loads(Path(root, "train/manifest.json").read_text())


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return trained(made_root(tmp_path_factory.mktemp("forked")), MESH, on_ray=False)


def test_any_mesh_is_the_same_task(forked: dict, tmp_path: Path) -> None:
    """So that a run may go on, and be done, on another; its loss differs by rounding."""
    root = made_root(tmp_path)
    alone = trained(root, PARAMETERS, on_ray=False)
    assert alone["fingerprint"] == forked["fingerprint"]
    assert forked["summary"]["loss"] == pytest.approx(alone["summary"]["loss"], abs=1e-3)
    (task,) = TrainStage(root, MESH).plan(INPUTS)
    assert pipeline.check(TrainStage(root, MESH), [task], verify=True)[0] is not None


def killing(path: Path, name: str, step: int) -> Callable[[], None]:
    """What kills, once metrics have `step` lines, one process whose command line has `name`."""

    def kill() -> None:
        while not (path.exists() and path.read_bytes().count(b"\n") >= step):
            time.sleep(0.01)
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and name in _command_line(process) and process.name != str(os.getpid()):
                os.kill(int(process.name), signal.SIGKILL)
                return

    return kill


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.ray
def test_a_process_group_on_ray_that_loses_a_process_ends_the_same(
    forked: dict, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = made_root(tmp_path)
    watcher = threading.Thread(target=killing(tmp_path / "train/metrics.jsonl", "ray::RankActor.run", 3), daemon=True)
    watcher.start()
    with cluster.connected(2):
        found = trained(root, MESH, on_ray=True)
        time.sleep(1.0)  # for the lines of the workers
    watcher.join(5)
    assert not watcher.is_alive()
    assert found == forked
    assert [record["step"] for record in read_metrics(f"{root}/train/metrics.jsonl")] == list(range(1, 7))
    printed = "".join(capfd.readouterr())
    assert "was lost" in printed
    assert "starting again (1 of 3)" in printed


@pytest.mark.soak
def test_torchrun_starts_a_killed_run_again(forked: dict, tmp_path: Path) -> None:
    """With torchrun's own restarts, which need a store that does not outlive the attempt."""
    root, path = made_root(tmp_path), tmp_path / "train/metrics.jsonl"
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"from tests.pipelines.stages.test_train_mesh import INPUTS, MESH, TrainStage\n"
        f"stage = TrainStage({root!r}, MESH.model_copy(update={{'steps': 60}}))\n"
        "stage.run(stage.plan(INPUTS)[0])\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=2", str(program)]
    environment = os.environ | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1"}
    threading.Thread(target=killing(path, f"-u {program}", 5), daemon=True).start()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "exitcode: -9" in done.stderr
    assert "resumed at step" in done.stdout
    assert [record["step"] for record in read_metrics(str(path))] == list(range(1, 61))
