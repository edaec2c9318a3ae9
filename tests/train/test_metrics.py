"""metrics.jsonl has every step once, whatever was lost."""

from pathlib import Path

import pytest

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
