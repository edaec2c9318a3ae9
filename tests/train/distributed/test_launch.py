"""Runs of several processes, killed, started again, moved from mesh to mesh: they are the run that nothing disturbed.

Ranks kill themselves with SIGKILL while they fetch the data of a given step, which is also while the checkpoint of the
step before is being written.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xxhash

from corpus.errors import HeadwaterError
from train.checkpoint.checkpoints import Checkpoints
from train.data.stream import TokenStream
from train.distributed.launch import launch
from train.distributed.parallel_dims import ParallelDims
from train.loop import Display
from train.metrics import read_metrics
from train.pretrain import RunData, pretrain
from train.settings import TrainSettings

SETTINGS = TrainSettings(
    threads=1,
    steps=30,
    batch_size=8,
    sequence_length=32,
    warmup_steps=3,
    validate_every=10,
    validation_tokens=300,
    checkpoint_seconds=0,
)
CHAIN = (  # mesh; rank that is killed, and the step whose data it is fetching then
    (ParallelDims(dp=2), 1, 6),
    (ParallelDims(tp=2), 0, 11),
    (ParallelDims(pp=2), 1, 17),
    (ParallelDims(dp=2, tp=2), 2, 23),
    (ParallelDims(), 0, None),
)
TOLERANCE = 5e-3  # nats: other meshes add up in another order, and 30 steps make more of it


def data(folders: dict[str, str]) -> RunData:
    names = ("web", "code")
    return RunData(
        tokens={name: folders[name] for name in names},
        weights={"web": 0.75, "code": 0.25},
        validation={name: folders[f"held-out {name}"] for name in names},
    )


def rank_of_a_run(
    settings: TrainSettings,
    given: RunData,
    out: str,
    log: str,
    doomed: int = 0,
    at: int | None = None,
    restart: bool = False,
) -> dict:
    """One process: it keeps the samples it reads in `log`, and kills itself, once, if told so."""
    rank, batch = os.environ.get("RANK", "0"), TokenStream.batch
    mark = Path(log) / f"killed-{doomed}-{at}"

    def watched(self: TokenStream, first: int, count: int) -> np.ndarray:
        if at is not None and int(rank) == doomed and first // settings.batch_size == at and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        windows = batch(self, first, count)
        with open(f"{log}/{os.getpid()}.samples", "a") as file:
            for number, window in enumerate(windows, first):
                print(number, xxhash.xxh3_64_hexdigest(window.tobytes()), file=file)
        return windows

    TokenStream.batch = watched
    try:
        return pretrain(settings, given, out, Display(), restart=restart)
    finally:
        TokenStream.batch = batch


def losses(out: str) -> list[float]:
    records = read_metrics(f"{out}/metrics.jsonl")
    assert [record["step"] for record in records] == list(range(1, len(records) + 1))
    return [record["loss"] for record in records]


def on(mesh: ParallelDims, **changes: object) -> TrainSettings:
    return SETTINGS.model_copy(update={"mesh": mesh, **changes})


def test_a_run_through_five_meshes_is_one_run(
    text_shards: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    straight, out, log = (str(tmp_path / name) for name in ("straight", "out", "log"))
    Path(log).mkdir()
    given = data(text_shards)
    expected = pretrain(on(ParallelDims(), checkpoint_seconds=300), given, straight, Display())
    for mesh, doomed, at in CHAIN[:-1]:
        began = time.monotonic()
        with pytest.raises(HeadwaterError, match=rf"rank {doomed} of {mesh.world} was ended by SIGKILL") as stopped:
            launch(rank_of_a_run, (on(mesh), given, out, log, doomed, at), mesh.world, restarts=0, note=print)
        assert "goes on from the last checkpoint" in str(stopped.value)
        assert time.monotonic() - began < 90
        newest = Checkpoints(f"{out}/checkpoints", run="", keep=1).steps()[-1]
        assert newest in (at - 1, at)  # no more than the interval, a step, is lost
    summary = rank_of_a_run(on(CHAIN[-1][0]), given, out, log)
    found, reference = np.array(losses(out)), np.array(losses(straight))
    with capsys.disabled():
        differences = np.abs(found - reference)
        print(f"\nthrough {len(CHAIN)} meshes: losses differ by {differences.max():.1e} nats at most", end=" ")
    assert found.shape == reference.shape == (30,)
    assert found == pytest.approx(reference, abs=TOLERANCE)
    assert summary["bits_per_byte"]["all"] == pytest.approx(expected["bits_per_byte"]["all"], abs=TOLERANCE)
    assert summary["domains"] == expected["domains"]
    read: dict[int, set[str]] = {}
    for path in Path(log).glob("*.samples"):
        for line in path.read_text().splitlines():
            number, digest = line.split()
            read.setdefault(int(number), set()).add(digest)
    stream = TokenStream(given.tokens, sequence_length=32, seed=0, weights=given.weights)
    assert read == {number: {xxhash.xxh3_64_hexdigest(stream[number].tobytes())} for number in range(240)}


def test_on_one_mesh_it_is_the_same_to_the_bit(text_shards: dict[str, str], tmp_path: Path, s3_bucket: str) -> None:
    """Killed and started again by the launcher, with checkpoints in an object store, which only the first discards."""
    settings, given, notes = on(ParallelDims(dp=2), steps=12, restarts=2), data(text_shards), []
    straight, out, log = str(tmp_path / "straight"), f"{s3_bucket}/killed", str(tmp_path)
    expected = launch(rank_of_a_run, (settings, given, straight, log), 2, restarts=0, note=notes.append)
    assert notes == []
    killed = (settings, given, out, log, 1, 5, True)
    assert launch(rank_of_a_run, killed, 2, restarts=1, note=notes.append) == expected
    begun = [path for path in tmp_path.glob("*.samples") if path.read_text().startswith("0 ")]
    assert len(begun) == 2  # the straight run and the first attempt; the second went on
    assert notes == ["rank 1 of 2 was ended by SIGKILL; starting again (1 of 1)"]
    assert losses(out) == losses(straight)


def test_what_another_attempt_would_not_mend_is_raised_at_once(text_shards: dict[str, str], tmp_path: Path) -> None:
    wild, notes = on(ParallelDims(dp=2), learning_rate=1e30, warmup_steps=0), []
    with pytest.raises(HeadwaterError, match="not a finite number at step"):
        launch(rank_of_a_run, (wild, data(text_shards), str(tmp_path), str(tmp_path)), 2, restarts=3, note=notes.append)
    assert notes == []


@pytest.mark.soak
def test_a_longer_run_on_a_mesh_reuses_the_first_phase_of_one_process(
    text_shards: dict[str, str], tmp_path: Path
) -> None:
    given, short, log = data(text_shards), str(tmp_path / "short"), str(tmp_path)
    pretrain(on(ParallelDims()), given, short, Display())
    reusing = on(ParallelDims(tp=2), steps=45, reuse_stage_one=short)
    found = launch(rank_of_a_run, (reusing, given, str(tmp_path / "reusing"), log), 2, restarts=0, note=print)
    whole = pretrain(on(ParallelDims(), steps=45), given, str(tmp_path / "whole"), Display())
    mixed, expected = losses(str(tmp_path / "reusing")), losses(str(tmp_path / "whole"))
    assert mixed[:24] == expected[:24] == losses(short)[:24]
    assert mixed[24:30] == pytest.approx(expected[24:30], abs=TOLERANCE)
    assert found["domains"] == whole["domains"]


@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_ranks_end_with_their_launcher(text_shards: dict[str, str], tmp_path: Path, how: signal.Signals) -> None:
    given = data(text_shards)
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from tests.train.distributed.test_launch import *\n"
        "if __name__ == '__main__':\n"
        f"    given = RunData(tokens={given.tokens!r})\n"
        f"    settings = on(ParallelDims(dp=2), steps=10_000)\n"
        f"    arguments = (settings, given, {str(tmp_path)!r}, {str(tmp_path)!r})\n"
        "    launch(rank_of_a_run, arguments, 2, restarts=0, note=print)\n"
    )
    launcher = subprocess.Popen([sys.executable, str(program)])
    deadline = time.monotonic() + 120
    while len(pids := [int(path.stem) for path in tmp_path.glob("*.samples")]) < 2:
        assert launcher.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    launcher.send_signal(how)
    launcher.wait(30)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
