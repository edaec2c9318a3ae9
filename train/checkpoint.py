"""Checkpoints: whole or not there, checked when read, thinned out, on disk or in an object store.

A checkpoint is a folder `step-<number>` that torch's distributed checkpoint format (DCP) fills: keyed by
parameter name, so another parallel layout can read it. `manifest.json` is written last and names every file
with its size and checksum, the run it belongs to, and the run's progress as plain numbers. A folder without a
manifest is one that was being written when the process died; it is swept away. At loading every byte is
checked, and a checkpoint that is cut short or altered is refused by name in favour of the one before it.
"""

import errno
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
import xxhash
from torch.distributed.checkpoint.api import CheckpointException

from corpus import storage
from corpus.errors import HeadwaterError

MANIFEST = "manifest.json"
_READ = 1 << 22


class OtherRun(HeadwaterError):
    """The folder holds checkpoints of a run with other settings or other data."""


class Checkpoints:
    """The checkpoints of one run in one folder."""

    def __init__(self, folder: str, *, run: str, keep: int) -> None:
        """`run` is the hash of all that decides the weights; `keep` how many of the newest to retain."""
        self.folder = folder
        self.run = run
        self.keep = keep
        self._local = storage.scheme(folder) == "file"

    def save(self, step: int, state: dict[str, Any], progress: dict[str, Any], *, permanent: bool = False) -> None:
        """Write a checkpoint and then delete those that it makes superfluous.

        `state` is what DCP takes (tensors by name), `progress` JSON-able; a permanent one is never thinned
        out. Raises OSError where the place cannot be written or is full.
        """
        place = storage.join(self.folder, f"step-{step:09d}")
        self._remove(place)
        with self._folder_to_write(place) as folder:
            _dcp_save(state, folder)
            files = {path.name: _entry(path) for path in sorted(folder.iterdir()) if path.is_file()}
        manifest = {"run": self.run, "step": step, "permanent": permanent, "progress": progress, "files": files}
        storage.write_json(storage.join(place, MANIFEST), manifest | {"checksum": _seal(manifest)})
        found = self.steps()
        later = [other for other in found if other > step]  # refused at loading, or the run would not be here
        temporary = [other for other in found if other <= step and not self._is_permanent(other)]
        for superfluous in later + temporary[: -self.keep]:
            self._remove(storage.join(self.folder, f"step-{superfluous:09d}"))

    def steps(self) -> list[int]:
        """The steps of all finished checkpoints, ascending."""
        found = (info.path.split("/") for info in storage.list_files(self.folder, f"/{MANIFEST}"))
        numbers = (parts[-2].removeprefix("step-") for parts in found)
        return sorted(int(number) for number in numbers if number.isdigit())

    def restore(self, state: dict[str, Any], report: Callable[[str], None]) -> dict[str, Any] | None:
        """Fill `state` from the newest intact checkpoint, in place, and return its progress, or None.

        Checkpoints that are refused are told to `report`, by name and reason. Raises OtherRun where the
        newest belongs to another run.
        """
        self.sweep()
        for step in reversed(self.steps()):
            try:
                manifest = self._manifest(step)
                self._check_run(manifest, storage.join(self.folder, f"step-{step:09d}"))
                return self._load(manifest, state)
            except OtherRun:
                raise
            except HeadwaterError as error:
                report(f"refused a checkpoint: {error}")
        return None

    def borrow(self, state: dict[str, Any], stage_one: str, last: int) -> dict[str, Any]:
        """Fill `state` from the newest checkpoint up to step `last` of a run with the same first phase.

        For the folder of another run, which is left as it is. `stage_one` is the hash of what decides the
        weights while the rate is constant. Returns its progress; raises HeadwaterError where there is none.
        """
        found = [step for step in self.steps() if step <= last]
        for step in reversed(found):
            manifest = self._manifest(step)
            if manifest["progress"].get("stage_one") == stage_one:
                return self._load(manifest, state)
        if not found:
            raise HeadwaterError(
                f"{self.folder} has no checkpoint up to step {last:,}, where the first phase of this run ends; give "
                "the output folder of a shorter run, or more steps"
            )
        raise HeadwaterError(
            f"{self.folder} has checkpoints up to step {found[-1]:,}, but none of a first phase with these settings, "
            "tokens and weights; only the number of steps may differ"
        )

    def sweep(self) -> None:
        """Remove what a killed process left half written."""
        finished = {f"step-{step:09d}" for step in self.steps()}
        if self._local:  # folders that are empty, or hold hidden files only, too
            names = {path.name for path in Path(self.folder).glob("step-*")}
        else:
            inside = len(self.folder.rstrip("/")) + 1
            names = {info.path[inside:].split("/")[0] for info in storage.list_files(self.folder)}
        for name in names - finished:
            if name.startswith("step-"):
                self._remove(storage.join(self.folder, name))

    def clear(self) -> None:
        """Remove every checkpoint, whatever run it belongs to."""
        for step in self.steps():
            self._remove(storage.join(self.folder, f"step-{step:09d}"))
        self.sweep()

    def _load(self, manifest: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        place = storage.join(self.folder, f"step-{manifest['step']:09d}")
        with self._folder_to_read(place, manifest["files"]) as folder, _quiet():
            dcp.load(state, storage_reader=dcp.FileSystemReader(folder))
        progress: dict[str, Any] = manifest["progress"]
        return progress

    def _manifest(self, step: int) -> dict[str, Any]:
        path = storage.join(self.folder, f"step-{step:09d}", MANIFEST)
        manifest: dict[str, Any] = storage.read_json(path)
        if not isinstance(manifest, dict) or manifest.pop("checksum", None) != _seal(manifest):
            raise HeadwaterError(f"{path} is altered, its checksum is not that of its content")
        return manifest

    def _is_permanent(self, step: int) -> bool:
        try:
            return bool(self._manifest(step)["permanent"])
        except HeadwaterError:
            return False

    def _check_run(self, manifest: dict[str, Any], place: str) -> None:
        if manifest["run"] != self.run:
            raise OtherRun(
                f"{place} belongs to a run with other settings, tokens or weights; give the settings it was made with, "
                "another output folder, or start anew with --restart"
            )

    def _remove(self, place: str) -> None:
        storage.delete(storage.join(place, MANIFEST))  # first, so that nobody takes the rest for a checkpoint
        if self._local:
            shutil.rmtree(place, ignore_errors=True)
        else:
            for name in [".metadata", *(info.path[len(place) + 1 :] for info in storage.list_files(place))]:
                storage.delete(storage.join(place, name))

    @contextmanager
    def _folder_to_write(self, place: str) -> Iterator[Path]:
        """A local folder; for an object store, what it holds in the end is sent there."""
        if self._local:
            Path(place).mkdir(parents=True, exist_ok=True)
            yield Path(place)
            return
        with tempfile.TemporaryDirectory(prefix="headwater-") as name:
            yield Path(name)
            for path in sorted(Path(name).iterdir()):
                with open(path, "rb") as source, storage.atomic_output(storage.join(place, path.name)) as target:
                    shutil.copyfileobj(source, target, _READ)

    @contextmanager
    def _folder_to_read(self, place: str, files: dict[str, dict[str, Any]]) -> Iterator[Path]:
        """A local folder that holds the checkpoint's files, all of them checked; raise HeadwaterError otherwise."""
        with tempfile.TemporaryDirectory(prefix="headwater-") as name:
            folder = Path(place) if self._local else Path(name)
            for file, expected in files.items():
                if not self._local and storage.exists(storage.join(place, file)):
                    (folder / file).write_bytes(storage.read_bytes(storage.join(place, file)))
                found = _entry(folder / file) if (folder / file).exists() else {"bytes": 0}
                if found != expected:
                    why = "altered" if found["bytes"] == expected["bytes"] else f"{found['bytes']:,} bytes"
                    raise HeadwaterError(f"{place}/{file} is {why}, it was written with {expected['bytes']:,} bytes")
            yield folder


def _seal(manifest: Any) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(manifest, sort_keys=True).encode())


def _dcp_save(state: dict[str, Any], folder: Path) -> None:
    """DCP wraps whatever stops it, a full disk too, in an exception of its own that is no Exception."""
    try:
        with _quiet():
            dcp.save(state, storage_writer=dcp.FileSystemWriter(folder))
    except CheckpointException as error:
        cause, _ = next(iter(error.failures.values()))
        raise OSError(errno.EIO, f"no room or no permission to write ({cause})", str(folder)) from None


def _entry(path: Path) -> dict[str, Any]:
    digest, length = xxhash.xxh3_128(), 0
    with open(path, "rb") as file:
        while block := file.read(_READ):
            digest.update(block)
            length += len(block)
    return {"bytes": length, "xxh3": digest.hexdigest()}


@contextmanager
def _quiet() -> Iterator[None]:
    """DCP warns at each call that there is one process; that is what a run on one process means."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
