"""On Ray for real: a job through the job API, and a node lost in the middle of a stage."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from pipelines.engine import pipeline
from pipelines.stages import stages_of
from tests.conftest import free_port
from tests.pipelines.small_run import outputs, small_recipe, write_crawl

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1500)]  # a job compiles its kernels; a limit is for hangs


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    write_crawl(folder)
    return folder


@pytest.fixture(scope="module")
def expected(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run in this process, without Ray, writes up to deduplication."""
    root = tmp_path_factory.mktemp("expected")
    results = pipeline.run(
        stages_of(small_recipe(crawl, root), until="dedup"), Console(quiet=True), verify=True, on_ray=False
    )
    assert not any(result.failed for result in results)
    return outputs(root)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The job server of a head started with `ray start --head`, on ports and in a folder of its own."""
    names = ("port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port")
    ports = {name: free_port() for name in names}
    ray = str(Path(sys.executable).with_name("ray"))
    options = [f"--{name}={port}" for name, port in ports.items()]
    folder = tmp_path_factory.mktemp("ray", numbered=False)
    command = [ray, "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats", f"--temp-dir={folder}"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["PATH"] = f"{Path(ray).parent}:{environment['PATH']}"  # jobs run the `python` of the head's PATH
    with open(folder / "head.log", "wb") as log:
        process = subprocess.Popen(
            [*command, *options], stdout=log, stderr=log, env=environment, start_new_session=True
        )
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    deadline = time.monotonic() + 90
    while True:
        from ray.job_submission import JobSubmissionClient

        try:
            JobSubmissionClient(address).list_jobs()
            break
        except Exception:
            if time.monotonic() > deadline or process.poll() is not None:
                os.killpg(process.pid, signal.SIGKILL)
                pytest.fail(f"ray start --head did not come up: {(folder / 'head.log').read_text()[-2000:]}")
            time.sleep(0.5)
    yield address
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _submit(recipe: Path, address: str, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "pipelines", "submit", str(recipe), "--address", address, *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1200)


def test_a_job_runs_is_followed_and_gives_the_same_bytes(
    crawl: Path, expected: dict[str, bytes], head: str, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    root = tmp_path / "root"
    recipe.write_text(yaml.safe_dump(small_recipe(crawl, root).model_dump(mode="json")))
    done = _submit(recipe, head, "--until", "dedup")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "extract: 6 shards in" in done.stdout
    assert "SUCCEEDED" in done.stdout
    assert outputs(root) == expected


def test_a_job_that_fails_hands_on_its_exit_status(crawl: Path, head: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    value = small_recipe(crawl, tmp_path / "root").model_dump(mode="json")
    value["inputs"][0]["dumps"] = ["CC-MAIN-1999-01"]
    recipe.write_text(yaml.safe_dump(value))
    done = _submit(recipe, head, "--until", "extract")
    assert done.returncode != 0
    assert "CC-MAIN-1999-01" in done.stdout
    assert "FAILED" in done.stdout


@pytest.mark.soak
def test_a_job_trains_on_a_mesh(crawl: Path, head: str, tmp_path: Path) -> None:
    """Every stage of a recipe, the last as a process group of two actors."""
    recipe, root = tmp_path / "recipe.yaml", tmp_path / "root"
    settings = {"steps": 20, "batch_size": 4, "sequence_length": 64, "warmup_steps": 2, "mesh": {"dp": 2}}
    recipe.write_text(yaml.safe_dump(small_recipe(crawl, root, train=settings).model_dump(mode="json")))
    done = _submit(recipe, head)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 processes: pp 1 x dp 2 x tp 1" in done.stdout
    assert (root / "train/export/model.safetensors").exists()


def test_no_server_is_said_clearly(crawl: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(small_recipe(crawl, tmp_path / "root").model_dump(mode="json")))
    done = _submit(recipe, f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "no Ray job server answers" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_node_lost_in_mid_stage_changes_nothing(crawl: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    done_at_loss: list[int] = []
    try:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, logging_level="error")
        root = tmp_path / "root"

        def lose() -> None:
            """Kill the second node when the first document shard has appeared and others are being made."""
            while not list(root.glob("documents/*/*.parquet")):
                time.sleep(0.01)
            cluster.remove_node(second, allow_graceful=False)
            done_at_loss.append(len(list(root.glob("documents/*/*.parquet"))))

        watcher = threading.Thread(target=lose, daemon=True)
        watcher.start()
        stages = stages_of(small_recipe(crawl, root), until="dedup")
        results = pipeline.run(stages, Console(quiet=True), verify=True)
        watcher.join(60)
        assert done_at_loss[0] < 6
        assert not any(result.failed for result in results)
        assert outputs(root) == expected
        deadline = time.monotonic() + 60
        while sum(node["Alive"] for node in ray.nodes()) > 1 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert sum(node["Alive"] for node in ray.nodes()) == 1
    finally:
        ray.shutdown()
        cluster.shutdown()
