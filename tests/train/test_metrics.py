"""metrics.jsonl has every step once, whatever was lost."""

import time
from pathlib import Path

import pytest

from corpus.io import storage
from train.metrics import MetricsLog, read_metrics


def test_steps_after_the_checkpoint_are_done_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(str(path))
    log.start(0)
    for step in range(1, 8):
        log.append({"step": step, "loss": 1.0})
    with path.open("ab") as file:
        file.write(b'{"step": 8, "lo')  # killed in mid-line
    log = MetricsLog(str(path))
    log.start(5)
    for step in range(6, 10):
        log.append({"step": step, "loss": 2.0})
    log.close()
    records = read_metrics(str(path))
    assert [record["step"] for record in records] == list(range(1, 10))
    assert [record["loss"] for record in records] == [1.0] * 5 + [2.0] * 4


def test_a_new_run_begins_empty(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    log = MetricsLog(str(path))
    log.start(0)
    log.close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("end", [b"\0" * 40 + b"\n", b"\xff\xfe\n", b"{}\n", b"7\n"])
def test_what_a_crash_of_the_machine_left_is_dropped(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n' + end)
    log = MetricsLog(str(path))
    log.start(2)
    log.append({"step": 3})
    log.close()
    assert [record["step"] for record in read_metrics(str(path))] == [1, 2, 3]


def curves(folder: str) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's own reader finds."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(folder)
    found.Reload()
    return {name: [(event.step, event.value) for event in found.Scalars(name)] for name in found.Tags()["scalars"]}


def logged(path: str, folder: str, resumed_at: int, until: int, loss: float) -> None:
    log = MetricsLog(path, folder)
    log.start(resumed_at)
    for step in range(resumed_at + 1, until + 1):
        measured = {"bits_per_byte": {"all": 1.5}} if step % 4 == 0 else {}
        log.append({"step": step, "loss": loss, "learning_rate": 0.5} | measured)
    log.close()


def test_tensorboard_shows_each_step_once(tmp_path: Path) -> None:
    """A second start, from a checkpoint at step 5, takes the place of what the first had logged after it."""
    path, folder = str(tmp_path / "metrics.jsonl"), str(tmp_path / "tensorboard")
    logged(path, folder, 0, 8, 1.0)
    time.sleep(1.1)  # files of events are named by the second, and read in that order
    logged(path, folder, 5, 9, 2.0)
    assert curves(folder) == {
        "train/loss": [(step, 1.0 if step <= 5 else 2.0) for step in range(1, 10)],
        "train/learning_rate": [(step, 0.5) for step in range(1, 10)],
        "bits_per_byte/all": [(4, 1.5), (8, 1.5)],
    }
    logged(path, str(tmp_path / "another"), 9, 9, 0.0)  # goes on in a new folder: with the steps before
    assert [step for step, _ in curves(str(tmp_path / "another"))["train/loss"]] == list(range(1, 10))


def test_tensorboard_of_a_run_in_an_object_store(s3_bucket: str, tmp_path: Path) -> None:
    logged(f"{s3_bucket}/curves/metrics.jsonl", f"{s3_bucket}/curves/tensorboard", 0, 8, 1.0)
    (event_file,) = storage.list_files(f"{s3_bucket}/curves/tensorboard")
    (tmp_path / event_file.path.rsplit("/", 1)[1]).write_bytes(storage.read_bytes(event_file.path))
    assert [step for step, _ in curves(str(tmp_path))["train/loss"]] == list(range(1, 9))
