"""Checkpoints: written beside the training, whole or not there, checked when read, thinned out, on disk or in S3.

A checkpoint is a folder `step-<number>` in torch's distributed format (`train.checkpoint.files`), which any layout
can read. Training waits only while the state is copied; a thread writes the copy, one checkpoint at a time.
`manifest.json` is written last. It names every file with its size and checksum, the run that it belongs to, and the
run's progress as plain numbers. A folder without a manifest was being written when the process died, and is deleted.
Older checkpoints are deleted only after a newer one has its manifest. At loading every byte is checked, and a
checkpoint that is cut short or altered is refused by name; the one before it is loaded instead.
"""

import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import xxhash
from torch import Tensor
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from corpus.errors import HeadwaterError
from corpus.io import storage
from train.checkpoint.files import SavedWeights, check_files, read_files, write_files
from train.distributed.world import World

MANIFEST = "manifest.json"


class OtherRun(HeadwaterError):
    """The folder holds checkpoints of a run with other settings or other data."""


class Checkpoints:
    """The checkpoints of one run in one folder. Every rank has one, and calls its methods in the same order."""

    def __init__(self, folder: str, *, run: str, keep: int, replace: bool = False, world: World | None = None) -> None:
        """`run` is the hash of all that decides the weights; `keep` how many of the newest to retain; with `replace`,
        checkpoints of another run are discarded where `restore` meets them."""
        self.folder = folder
        self.run = run
        self.keep = keep
        self.replace = replace
        self.world = world or World()
        self.newest: int | None = None  # the step of the last that was committed or restored
        self.newest_at = time.monotonic()  # when its state was copied
        self.seconds = 0.0  # what writing it took
        self._local = storage.scheme(folder) == "file"
        self._writing: threading.Thread | None = None
        self._failure: BaseException | None = None
        pinned = torch.cuda.is_available()
        self._stager = DefaultStager(StagingOptions(pinned, False, False, pinned))

    @property
    def busy(self) -> bool:
        """Whether one is being written."""
        return self._writing is not None and self._writing.is_alive()

    def save(self, step: int, state: dict[str, Any], progress: dict[str, Any], *, permanent: bool = False) -> None:
        """Copy `state` and begin to write a checkpoint, after the one that is being written, if any.

        `state` is what DCP takes (tensors by name), `progress` JSON-able; a permanent one is never thinned
        out. What goes wrong while writing is raised by `wait` or by the next `save`: OSError where the folder
        cannot be written or the disk is full.
        """
        self.wait()
        copied, now = self._stager.stage(state), time.monotonic()
        self._writing = threading.Thread(target=self._write, args=(step, copied, progress, permanent, now), daemon=True)
        self._writing.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until nothing is being written (at most `timeout` seconds), and raise what went wrong."""
        if self._writing is not None:
            self._writing.join(timeout)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _write(self, step: int, state: dict[str, Any], progress: dict[str, Any], permanent: bool, at: float) -> None:
        channel = self.world.background
        try:
            folder = self._step_folder(step)
            if self.world.first:
                self._remove(folder)
            channel.agree(step)  # no rank writes before it is empty
            files = write_files(state, folder, channel)
            if self.world.first:
                manifest = {"run": self.run, "step": step, "permanent": permanent, "progress": progress, "files": files}
                storage.write_json(storage.join(folder, MANIFEST), manifest | {"checksum": _seal(manifest)})
                self._thin_out(step)
            self.newest, self.newest_at, self.seconds = step, at, time.monotonic() - at
        except BaseException as error:
            self._failure = error

    def _thin_out(self, step: int) -> None:
        """Delete those that the checkpoint of `step`, just committed, makes superfluous."""
        found = self.steps()
        later = [other for other in found if other > step]  # refused at loading, or the run would not be here
        temporary = [other for other in found if other <= step and not self._is_permanent(other)]
        for superfluous in later + temporary[: -self.keep]:
            self._remove(self._step_folder(superfluous))

    def steps(self) -> list[int]:
        """The steps of all finished checkpoints, ascending."""
        found = (info.path.split("/") for info in storage.list_files(self.folder, f"/{MANIFEST}"))
        numbers = (parts[-2].removeprefix("step-") for parts in found)
        return sorted(int(number) for number in numbers if number.isdigit())

    def restore(self, state: dict[str, Any], report: Callable[[str], None]) -> dict[str, Any] | None:
        """Fill `state` from the newest intact checkpoint, in place, and return its progress, or None.

        Checkpoints that are refused are told to `report`, by name and reason. Raises OtherRun where the
        newest belongs to another run, unless it is to be replaced.
        """
        if self.world.first:
            self.sweep()
        for step in reversed(self._agreed_steps()):
            try:
                progress = self._load(step, state, self._check_run)
            except OtherRun:
                if not self.replace:
                    raise
                self.clear()
                return None
            except HeadwaterError as error:
                report(f"refused a checkpoint: {error}")
            else:
                self.newest, self.newest_at = step, time.monotonic()
                return progress
        return None

    def borrow(self, state: dict[str, Any], stage_one: str, last: int) -> dict[str, Any]:
        """Fill `state` from the newest checkpoint up to step `last` of a run with the same first phase.

        For the folder of another run, which is left as it is. `stage_one` is the hash of what decides the
        weights while the rate is constant. Returns its progress; raises HeadwaterError where there is none.
        """
        found = [step for step in self._agreed_steps() if step <= last]
        for step in reversed(found):
            if self._manifest(step)["progress"].get("stage_one") == stage_one:
                return self._load(step, state, lambda manifest: None)
        if not found:
            raise HeadwaterError(
                f"{self.folder} has no checkpoint up to step {last:,}, where the first phase of this run ends; give "
                "the output folder of a shorter run, or more steps"
            )
        raise HeadwaterError(
            f"{self.folder} has checkpoints up to step {found[-1]:,}, but none of a first phase with these settings, "
            "tokens and weights; only the number of steps may differ"
        )

    def weights(self, step: int) -> Mapping[str, Tensor]:
        """The whole weights of a finished checkpoint by parameter name, each read when it is asked for."""
        return SavedWeights(self._step_folder(step))

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
        """Remove every checkpoint, of any run."""
        if self.world.first:
            for step in self.steps():
                self._remove(self._step_folder(step))
            self.sweep()

    def _step_folder(self, step: int) -> str:
        return storage.join(self.folder, f"step-{step:09d}")

    def _agreed_steps(self) -> list[int]:
        steps: list[int] = self.world.control.broadcast(self.steps() if self.world.first else None)
        return steps

    def _load(self, step: int, state: dict[str, Any], accept: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Load a checkpoint that every rank finds intact; raise, on every rank, what one of them finds wrong."""
        manifest: dict[str, Any] = {}
        problem = None
        try:
            manifest = self._manifest(step)
            accept(manifest)
            check_files(self._step_folder(step), manifest["files"], self.world.control)
        except HeadwaterError as error:
            problem = error
        for found in self.world.control.gather(problem):
            if found is not None:
                raise found
        read_files(state, self._step_folder(step), self.world.control)
        progress: dict[str, Any] = manifest["progress"]
        return progress

    def _manifest(self, step: int) -> dict[str, Any]:
        path = storage.join(self._step_folder(step), MANIFEST)
        manifest: dict[str, Any] = storage.read_json(path)
        if not isinstance(manifest, dict) or manifest.pop("checksum", None) != _seal(manifest):
            raise HeadwaterError(f"{path} is altered, its checksum is not that of its content")
        return manifest

    def _is_permanent(self, step: int) -> bool:
        try:
            return bool(self._manifest(step)["permanent"])
        except HeadwaterError:
            return False

    def _check_run(self, manifest: dict[str, Any]) -> None:
        if manifest["run"] != self.run:
            raise OtherRun(
                f"{self._step_folder(manifest['step'])} belongs to a run with other settings, tokens or weights; give "
                "the settings it was made with, another output folder, or start anew with --restart"
            )

    def _remove(self, folder: str) -> None:
        storage.delete(storage.join(folder, MANIFEST))  # first, so that the rest is not taken for a checkpoint
        if self._local:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            for name in [".metadata", *(info.path[len(folder) + 1 :] for info in storage.list_files(folder))]:
                storage.delete(storage.join(folder, name))


def _seal(manifest: Any) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(manifest, sort_keys=True).encode())
