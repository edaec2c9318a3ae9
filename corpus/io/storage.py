"""Files wherever they are: a local disk, an object store (`s3://`), or a web server (`https://`, read only).

Everything that reads or writes goes through these few functions, so that no stage knows where its bytes lie. A path
is a plain string. What is written appears whole or not at all: beside and renamed on a disk, one completed upload on
S3. S3 is pyarrow's file system (endpoint and credentials from the usual AWS_* variables), the web is smart_open."""

import contextlib
import fnmatch
import glob
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from urllib.parse import urlsplit

import pyarrow.fs as pafs
import xxhash

from corpus.errors import HeadwaterError, UsageError

SAMPLED = 1 << 16  # bytes read at each end of a raw local input to tell whether it changed


@dataclass(frozen=True, order=True)
class FileInfo:
    """A file found by a listing: its path and its size in bytes."""

    path: str
    size: int


def scheme(path: str) -> str:
    """Return `"file"`, `"s3"` or `"https"` (which stands for http too); raise UsageError for any other scheme."""
    if "://" not in path:
        return "file"
    name = path.split("://", 1)[0]
    if name == "s3":
        return "s3"
    if name in ("http", "https"):
        return "https"
    raise UsageError(f"{path}: no storage for {name}://; use a local path, s3:// or https://")


def join(root: str, *parts: str) -> str:
    """Join with single slashes; an absolute or remote last part stands for itself."""
    path = root
    for part in parts:
        path = part if part.startswith("/") or "://" in part else f"{path.rstrip('/')}/{part}"
    return path


@lru_cache(maxsize=8)
def _s3(_process: int) -> pafs.S3FileSystem:
    retries = pafs.AwsStandardS3RetryStrategy(max_attempts=int(os.environ.get("AWS_MAX_ATTEMPTS", "10")))
    return pafs.S3FileSystem(
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL") or None,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        anonymous=os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "true", "yes"),
        retry_strategy=retries,
    )


def filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """The Arrow file system of a local or S3 path and the path inside it (for Parquet's ranged reads)."""
    if scheme(path) == "s3":
        return _s3(os.getpid()), path.removeprefix("s3://").rstrip("/")
    return pafs.LocalFileSystem(), path


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
    """All files below a folder or S3 prefix, sorted by path; names with a part that starts with `.` are skipped.

    A folder that does not exist is empty.
    """
    fs, inner = filesystem(prefix)
    selector = pafs.FileSelector(inner.rstrip("/") or "/", recursive=True, allow_not_found=True)
    start = "s3://" if scheme(prefix) == "s3" else ""
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

    Locally it is written beside its place, flushed to disk and renamed. For S3 it is written to a temporary local file
    and sent as one upload, which S3 shows only when it is complete.
    """
    kind = scheme(path)
    if kind == "https":
        raise UsageError(f"{path}: a web address can be read but not written")
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
            fs, inner = filesystem(path)
            pafs.copy_files(str(beside), inner, source_filesystem=pafs.LocalFileSystem(), destination_filesystem=fs)
    finally:
        beside.unlink(missing_ok=True)


def prepare_root(path: str) -> None:
    """Make sure that files can be written below a root before any work is done for them.

    Raises UsageError where a local folder cannot be made or written to, HeadwaterError where S3 does not answer.
    """
    kind = scheme(path)
    if kind == "https":
        raise UsageError(f"{path}: a web address can be read but not written")
    try:
        if kind == "file":
            Path(path).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        else:
            fs, inner = filesystem(path)
            fs.get_file_info(inner)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        if kind == "file":
            raise UsageError(
                f"{path}: nothing can be written there ({reason}); give the recipe another root, e.g. --set root=DIR"
            ) from None
        raise HeadwaterError(
            f"{path}: S3 does not answer as it should ({reason}); check the network, AWS_ENDPOINT_URL and credentials"
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

    Local: size and xxh3 of its first and last 64 KiB. S3: its ETag. Web: the address alone, because
    crawl files never change under their name.
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
    with open(path, "rb") as file:
        digest = xxhash.xxh3_128(file.read(SAMPLED))
        file.seek(max(0, info.size - SAMPLED))
        digest.update(file.read(SAMPLED))
    return f"{info.size}-{digest.hexdigest()}"
