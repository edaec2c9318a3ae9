"""Checkpoints are whole or refused by name; the one before is used; old ones go, phase ends stay."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from corpus.io import storage
from train.checkpoint import checkpoints as checkpoint_room
from train.checkpoint.checkpoints import Checkpoints, OtherRun


def state(value: float) -> dict:
    return {"model": {"w": torch.full((300, 5), value)}, "optimizer": {"w.step": torch.tensor(value)}}


def saved(folder: Path, *steps: int, keep: int = 2, permanent: tuple[int, ...] = ()) -> Checkpoints:
    checkpoints = Checkpoints(str(folder), run="r", keep=keep)
    for step in steps:
        checkpoints.save(step, state(step), {"step": step}, permanent=step in permanent)
        checkpoints.wait()
    return checkpoints


def restored(checkpoints: Checkpoints) -> tuple[dict | None, float, list[str]]:
    into, notes = state(-1), []
    progress = checkpoints.restore(into, notes.append)
    return progress, into["model"]["w"][0, 0].item(), notes


def test_the_newest_comes_back(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 20)
    assert restored(checkpoints) == ({"step": 20}, 20.0, [])
    assert restored(Checkpoints(str(tmp_path / "none"), run="r", keep=1)) == (None, -1.0, [])


def test_old_ones_go_and_phase_ends_stay(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1, 2, 8, 9, 10, 11, keep=2, permanent=(8, 9))
    assert checkpoints.steps() == [8, 9, 10, 11]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-{n:09d}" for n in (8, 9, 10, 11)]


@pytest.mark.parametrize("file", ["__0_0.distcp", ".metadata", "manifest.json"])
@pytest.mark.parametrize("harm", ["cut", "altered", "missing"])
def test_a_harmed_checkpoint_is_refused_by_name(tmp_path: Path, file: str, harm: str) -> None:
    checkpoints = saved(tmp_path, 10, 20)
    path = tmp_path / "step-000000020" / file
    data = path.read_bytes()
    if harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "altered":
        path.write_bytes(data.replace(b"20", b"21", 1) if file == "manifest.json" else data[:-9] + b"x" + data[-8:])
    else:
        path.unlink()
    progress, value, notes = restored(checkpoints)
    assert (progress, value) == ({"step": 10}, 10.0)
    if (file, harm) == ("manifest.json", "missing"):
        assert notes == []  # as if it had been killed while writing: swept away
        assert not path.parent.exists()
    else:
        assert len(notes) == 1
        assert f"step-000000020/{file}" in notes[0]


def test_all_harmed_means_from_the_start(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 20)
    for folder in tmp_path.iterdir():
        (folder / "__0_0.distcp").write_bytes(b"")
    progress, value, notes = restored(checkpoints)
    assert (progress, value, len(notes)) == (None, -1.0, 2)
    checkpoints.save(20, state(3), {"step": 20})
    checkpoints.wait()
    assert restored(checkpoints)[:2] == ({"step": 20}, 3.0)


def test_a_half_written_one_is_swept(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10)
    half = tmp_path / "step-000000030"
    half.mkdir()
    (half / "__0_0.distcp").write_bytes(b"half")
    (tmp_path / "step-000000031").mkdir()  # killed before the first file, or after the last was removed
    (tmp_path / "step-000000032").mkdir()
    (tmp_path / "step-000000032/.metadata").write_bytes(b"")
    (tmp_path / "notes").mkdir()
    assert restored(checkpoints)[0] == {"step": 10}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "step-000000010"]


def test_another_runs_checkpoints_are_not_touched(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    with pytest.raises(OtherRun, match="step-000000010"):
        restored(Checkpoints(str(tmp_path), run="another", keep=2))
    assert (tmp_path / "step-000000010/manifest.json").exists()


def test_the_manifest_names_every_file(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    manifest = json.loads((tmp_path / "step-000000010/manifest.json").read_text())
    files = {path.name: path.stat().st_size for path in (tmp_path / "step-000000010").iterdir()}
    del files["manifest.json"]
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == files


def test_in_an_object_store(s3_bucket: str) -> None:
    """Saved, thinned out, harmed and refused, swept: as on a disk."""
    folder = f"{s3_bucket}/checkpoints"
    checkpoints = Checkpoints(folder, run="r", keep=2)
    for step in (5, 6, 7, 8):
        checkpoints.save(step, state(step), {"step": step}, permanent=step == 5)
        checkpoints.wait()
    assert checkpoints.steps() == [5, 7, 8]
    assert not [info.path for info in storage.list_files(folder) if "step-000000006" in info.path]
    assert restored(checkpoints) == ({"step": 8}, 8.0, [])
    for step, harm in ((8, "altered"), (7, "missing")):
        path = f"{folder}/step-{step:09d}/__0_0.distcp"
        data = storage.read_bytes(path)
        storage.delete(path)
        if harm == "altered":
            storage.write_bytes(path, data[:-9] + b"x" + data[-8:])
    progress, value, notes = restored(checkpoints)
    assert (progress, value, len(notes)) == ({"step": 5}, 5.0, 2)
    storage.write_bytes(f"{folder}/step-000000009/__0_0.distcp", b"half")
    checkpoints.sweep()
    assert not [info.path for info in storage.list_files(folder) if "step-000000009" in info.path]
    checkpoints.clear()
    assert checkpoints.steps() == []


@pytest.mark.parametrize("keep", [1, 2])
def test_one_that_was_refused_does_not_crowd_out_those_that_come_after(tmp_path: Path, keep: int) -> None:
    checkpoints = saved(tmp_path, 10, 20, keep=2)
    (tmp_path / "step-000000020/__0_0.distcp").write_bytes(b"")
    checkpoints.keep = keep
    assert restored(checkpoints)[0] == {"step": 10}
    checkpoints.save(15, state(15), {"step": 15})
    checkpoints.wait()
    assert checkpoints.steps() == [10, 15][-keep:]
    assert restored(checkpoints) == ({"step": 15}, 15.0, [])


def test_training_goes_on_while_one_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is the state at the call, one at a time, and it counts when its manifest is there."""
    go, folder = threading.Event(), tmp_path / "step-000000010"
    write = checkpoint_room.write_files
    monkeypatch.setattr(checkpoint_room, "write_files", lambda *given: go.wait() and write(*given))
    checkpoints = Checkpoints(str(tmp_path), run="r", keep=2)
    given = state(10)
    checkpoints.save(10, given, {"step": 10})
    given["model"]["w"].fill_(99)
    assert (checkpoints.busy, checkpoints.newest, folder.exists()) == (True, None, False)
    go.set()
    checkpoints.save(20, state(20), {"step": 20})  # waits for the first
    assert checkpoints.newest == 10
    checkpoints.wait()
    assert (checkpoints.busy, checkpoints.newest) == (False, 20)
    (tmp_path / "step-000000020/manifest.json").unlink()
    assert restored(checkpoints) == ({"step": 10}, 10.0, [])


def test_what_goes_wrong_in_the_background_is_raised(tmp_path: Path) -> None:
    """And nothing older is deleted for a checkpoint that did not come about."""
    checkpoints = saved(tmp_path, 10, keep=1)
    (tmp_path / "step-000000020").write_text("a file where the folder should be")
    checkpoints.save(20, state(20), {"step": 20})
    with pytest.raises(OSError, match="step-000000020"):
        checkpoints.save(30, state(30), {"step": 30})
    assert checkpoints.steps() == [10]


def test_weights_are_read_one_by_one(tmp_path: Path) -> None:
    weights = saved(tmp_path, 10).weights(10)
    assert list(weights) == ["w"]
    assert torch.equal(weights["w"], torch.full((300, 5), 10.0))


def test_a_full_disk_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for it: torch's own exception would pass every `except Exception`."""
    program = (
        "import resource, signal, sys, torch; from train.checkpoint.checkpoints import Checkpoints; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "c = Checkpoints(sys.argv[1], run='r', keep=1)\n"
        "try: c.save(1, {'w': torch.zeros(9000)}, {}); c.wait()\n"
        "except OSError as error: print(error.filename)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "step-000000001")
    assert restored(saved(tmp_path)) == (None, -1.0, [])
