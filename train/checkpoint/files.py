"""The files of one checkpoint: written by all ranks together, checked by all, and read in the ranges that a rank needs.

The format is torch's distributed checkpoint (DCP): each rank writes what it holds, keyed by parameter name, so that
any other layout can read it. On a disk the ranks write into one folder, which they must share; for an object store
each fills a temporary folder and sends its own files. When reading, a rank fetches the ranges it needs and no more.
"""

import errno
import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystem

from corpus.errors import HeadwaterError
from corpus.io import storage
from corpus.io.checksum import file_entry
from train.distributed.world import Channel

Files = dict[str, dict[str, Any]]  # by name: {"bytes": n, "xxh3": hex}
_READ = 1 << 22


def write_files(state: dict[str, Any], folder: str, channel: Channel) -> Files:
    """Write `state` (tensors by name, of this rank) into `folder`; on every rank, return the files of all.

    Raises OSError on every rank where one of them cannot write.
    """
    problem, own = None, {}
    with _local_folder(folder) as local:
        _save(state, local, channel)
        try:
            mine = [".metadata", *(path.name for path in local.glob(f"__{channel.rank}_*"))]
            own = {name: file_entry(str(local / name)) for name in sorted(mine) if (local / name).exists()}
            if storage.scheme(folder) == "file":
                own = own if channel.rank == 0 else {name: own[name] for name in own if name != ".metadata"}
            else:
                for name in own:
                    _send(local / name, storage.join(folder, name))
        except OSError as error:
            problem = error
    outcomes = channel.gather(problem or own)
    for outcome in outcomes:
        if isinstance(outcome, OSError):
            raise outcome
    files = {name: entry for outcome in outcomes for name, entry in outcome.items()}
    if channel.rank == 0 and storage.scheme(folder) == "file":
        for name in files:
            if not (Path(folder) / name).exists():
                raise OSError(
                    errno.ENOENT, "another rank wrote it, but it is not here: OUT must be a shared disk", name
                )
    return dict(sorted(files.items()))


def check_files(folder: str, files: Files, channel: Channel) -> None:
    """Check sizes and checksums, a share of the files on each rank; raise HeadwaterError naming one that differs."""
    for name in sorted(files)[channel.rank :: channel.size]:
        expected, path = files[name], storage.join(folder, name)
        found = file_entry(path) if storage.exists(path) else {"bytes": 0}
        if found != expected:
            why = "altered" if found["bytes"] == expected["bytes"] else f"{found['bytes']:,} bytes"
            raise HeadwaterError(f"{path} is {why}, it was written with {expected['bytes']:,} bytes")


def read_files(state: dict[str, Any], folder: str, channel: Channel) -> None:
    """Fill `state` in place with what this rank holds of it."""
    with _quiet():
        dcp.load(state, storage_reader=_reader(folder), process_group=channel.group, no_dist=channel.size == 1)


class SavedWeights(Mapping[str, Tensor]):
    """The weights of a checkpoint by parameter name, whole, each read when it is asked for."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        found = _reader(folder).read_metadata().state_dict_metadata
        self._known = {name.removeprefix("model."): found[name] for name in found if name.startswith("model.")}

    def __getitem__(self, name: str) -> Tensor:
        known = self._known[name]
        value = torch.empty(known.size, dtype=known.properties.dtype)
        read_files({"model": {name: value}}, self._folder, Channel())
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class _Storage(FileSystem):
    """DCP's file system over `corpus.io.storage`, for reading."""

    @contextmanager
    def create_stream(self, path: str | os.PathLike, mode: str) -> Generator[io.IOBase, None, None]:
        with storage.open_input(str(path)) as file:
            yield cast(io.IOBase, file)

    def concat_path(self, path: str | os.PathLike, suffix: str) -> str:
        return storage.join(str(path), suffix)


def _reader(folder: str) -> dcp.FileSystemReader:
    reader = dcp.FileSystemReader(folder)
    reader.fs, reader.path = _Storage(), folder  # it would make a path of a URL
    return reader


def _save(state: dict[str, Any], folder: Path, channel: Channel) -> None:
    """DCP wraps every failure, a full disk too, in an exception of its own that is no subclass of Exception."""
    try:
        with _quiet():
            dcp.save(
                state,
                storage_writer=dcp.FileSystemWriter(folder),
                process_group=channel.group,
                no_dist=channel.size == 1,
            )
    except CheckpointException as error:
        cause, _ = next(iter(error.failures.values()))
        raise OSError(errno.EIO, f"no room or no permission to write ({cause})", str(folder)) from None


@contextmanager
def _local_folder(folder: str) -> Iterator[Path]:
    """Where a rank writes: the folder itself, or a temporary one where that is in an object store."""
    if storage.scheme(folder) == "file":
        Path(folder).mkdir(parents=True, exist_ok=True)
        yield Path(folder)
    else:
        with tempfile.TemporaryDirectory(prefix="headwater-") as name:
            yield Path(name)


def _send(path: Path, target: str) -> None:
    with open(path, "rb") as source, storage.atomic_output(target) as sink:
        shutil.copyfileobj(source, sink, _READ)


@contextmanager
def _quiet() -> Iterator[None]:
    """DCP warns at each call that there is one process; that is what a run on one process means."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
