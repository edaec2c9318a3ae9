"""Files wherever they are: a local disk, an object store (`s3://`, `gs://`, `az://`), the Hugging Face Hub (`hf://`,
read only) or a web server (`https://`, read only).

Everything that reads or writes goes through these few functions, so that no stage knows where its bytes lie. A path
is a plain string. What is written appears whole or not at all: beside its path and renamed on a disk, one completed
upload in a store. `corpus.io.filesystems` knows the stores; the web is read by smart_open."""

import contextlib
import fnmatch
import glob
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from urllib.parse import urlsplit

import pyarrow.fs as pafs
import xxhash

from corpus.errors import HeadwaterError, UsageError
from corpus.io.filesystems import STORES, client, credentials, filesystem, first_line, require_writable, scheme, upload

SAMPLED = 1 << 16  # bytes read at each end of a raw local input to tell whether it changed


@dataclass(frozen=True, order=True)
class FileInfo:
    """A file found by a listing: its path and its size in bytes."""

    path: str
    size: int


def join(root: str, *parts: str) -> str:
    """Join with single slashes; an absolute or remote last part stands for itself."""
    path = root
    for part in parts:
        path = part if part.startswith("/") or "://" in part else f"{path.rstrip('/')}/{part}"
    return path


def exists(path: str) -> bool:
    """Whether a file or folder is there."""
    if scheme(path) == "https":
        try:
            with open_input(path):
                return True
        except OSError:
            return False
    fs, inner = filesystem(path)
    return bool(fs.get_file_info(inner).type != pafs.FileType.NotFound)


def size(path: str) -> int:
    """Size of a file in bytes; raise FileNotFoundError where there is none."""
    fs, inner = filesystem(path)
    info = fs.get_file_info(inner)
    if info.type == pafs.FileType.NotFound:
        raise FileNotFoundError(path)
    return int(info.size)


def open_input(path: str) -> BinaryIO:
    """Open for reading as a seekable binary file (sequential on the web), as stored: nothing is decompressed."""
    kind = scheme(path)
    if kind == "file":
        return open(path, "rb")
    if kind == "https":
        import smart_open

        return cast(BinaryIO, smart_open.open(path, "rb", compression="disable"))
    fs, inner = filesystem(path)
    return cast(BinaryIO, fs.open_input_file(inner))


def read_bytes(path: str) -> bytes:
    """The whole file."""
    with open_input(path) as file:
        return file.read()


def read_range(path: str, offset: int, length: int) -> bytes:
    """`length` bytes from `offset` (fewer where the file ends)."""
    with open_input(path) as file:
        file.seek(offset)
        return file.read(length)


def list_files(prefix: str, suffix: str = "") -> list[FileInfo]:
    """All files below a folder or prefix, sorted by path; names with a part that starts with `.` are skipped.

    A folder that does not exist is empty.
    """
    fs, inner = filesystem(prefix)
    selector = pafs.FileSelector(inner.rstrip("/") or "/", recursive=True, allow_not_found=True)
    start = "" if scheme(prefix) == "file" else f"{scheme(prefix)}://"
    return sorted(
        FileInfo(start + info.path, info.size)
        for info in fs.get_file_info(selector)
        if info.type == pafs.FileType.File and info.path.endswith(suffix) and not _hidden(info.path[len(inner) :])
    )


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def expand(pattern: str) -> list[str]:
    """The files that a file name, folder or glob names, sorted; raise UsageError where it names none."""
    if scheme(pattern) == "https":
        return [pattern]
    if any(mark in pattern for mark in "*?["):
        if scheme(pattern) == "file":
            found = [name for name in sorted(glob.glob(pattern, recursive=True)) if Path(name).is_file()]
        else:
            fixed = pattern[: min(pattern.find(mark) for mark in "*?[" if mark in pattern)].rsplit("/", 1)[0]
            found = [info.path for info in list_files(fixed) if fnmatch.fnmatch(info.path, pattern)]
    else:
        fs, inner = filesystem(pattern)
        kind = fs.get_file_info(inner).type
        found = [pattern] if kind == pafs.FileType.File else [info.path for info in list_files(pattern)]
    if not found:
        raise UsageError(f"{pattern}: no such file, folder or match; check the path")
    return found


@contextlib.contextmanager
def atomic_output(path: str) -> Iterator[IO[bytes]]:
    """Write a file that appears only when the block ends without an error, replacing what was there.

    Locally it is written beside its path, flushed to disk and renamed. For a store it is written to a temporary local
    file and sent as one upload, which the store shows only when it is complete.
    """
    require_writable(path)
    kind = scheme(path)
    if kind == "file":
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.parent / f".{target.name}.{socket.gethostname()}-{os.getpid()}.tmp"
    else:
        handle, name = tempfile.mkstemp(prefix="headwater-")
        os.close(handle)
        beside = Path(name)
    try:
        with open(beside, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if kind == "file":
            os.replace(beside, path)
        else:
            upload(str(beside), path)
    finally:
        beside.unlink(missing_ok=True)


def prepare_root(path: str) -> None:
    """Make sure that files can be written below a root before any work is done for them.

    Raises UsageError where a local folder cannot be made or written to, HeadwaterError where a store does not answer.
    """
    require_writable(path)
    if scheme(path) == "file":
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise UsageError(
                f"{path}: nothing can be written there ({first_line(error)}); give the recipe another root, e.g. "
                "--set root=DIR"
            ) from None
        return
    fs, inner = filesystem(path)
    try:
        fs.get_file_info(inner)
    except OSError as error:
        raise HeadwaterError(
            f"{path}: the store does not answer as it should ({first_line(error)}); check the network and "
            f"{credentials(path)}"
        ) from None


def remove_leftovers(folder: str) -> None:
    """Delete the half-written files that killed tasks left below a local folder."""
    if scheme(folder) == "file":
        for name in Path(folder).rglob(".*.tmp"):
            name.unlink(missing_ok=True)


def write_bytes(path: str, data: bytes) -> None:
    """Write a small file atomically."""
    with atomic_output(path) as file:
        file.write(data)


def write_json(path: str, value: Any) -> None:
    """Write JSON atomically, keys sorted, so that equal values are equal bytes."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def read_json(path: str) -> Any:
    """Read a JSON file; raise HeadwaterError naming the file where it is not JSON."""
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise HeadwaterError(
            f"{path}: not valid JSON ({error}); it may be cut short, delete it to have it made again"
        ) from None


def delete(path: str) -> None:
    """Delete a file; nothing happens where there is none."""
    if scheme(path) == "file":
        Path(path).unlink(missing_ok=True)
    elif exists(path):
        fs, inner = filesystem(path)
        fs.delete_file(inner)


def identify(path: str) -> str:
    """A fingerprint of a raw input: what tells that the file is no longer the one that was read.

    Local: size and xxh3 of its first and last 64 KiB. A store: its ETag, or its blob id on the Hub. Web: the address
    alone, because crawl files never change under their name.
    """
    kind = scheme(path)
    if kind == "https":
        return urlsplit(path).path
    fs, inner = filesystem(path)
    info = fs.get_file_info(inner)
    if info.type != pafs.FileType.File:
        raise UsageError(f"{path}: no such file")
    if kind == "s3":
        with fs.open_input_file(inner) as remote:
            return str(remote.metadata()["ETag"]).strip('"')
    if kind in STORES:
        details = client(path).info(inner)
        return str(details.get("etag") or details.get("blob_id") or client(path).ukey(inner)).strip('"')
    with open(path, "rb") as file:
        digest = xxhash.xxh3_128(file.read(SAMPLED))
        file.seek(max(0, info.size - SAMPLED))
        digest.update(file.read(SAMPLED))
    return f"{info.size}-{digest.hexdigest()}"
