"""Blocks of an object store on a host's disk: one copy for all processes of the host, within a limit.

A block is a file named by the checksum of its shard and by its number, so runs, ranks and shards with equal bytes share
it. Processes share the cache through the file system alone. There is no server, no shared memory and no index:

- a block appears by rename, whole or not at all.
- a process that fetches a block holds a kernel lock (flock) on its unfinished file, so that others wait for it and do
  not fetch it too. The kernel drops the lock of a process that dies, and the next one fetches the block anew;
- a process that reads a block maps it. Eviction unlinks the oldest blocks, but a mapping stays valid after that.
- each process lists the folder after every 1/64 of the limit that it adds, and deletes the oldest blocks until 7/8 of
  the limit are left. With up to eight processes on a host the limit is never passed.
"""

import contextlib
import fcntl
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterable

from corpus.errors import HeadwaterError
from corpus.io import storage
from corpus.io.cache_folder import first_writable, user_caches

CACHE_BYTES = 64 << 30  # of a host's disk; a run over an object store wants at least 2 GiB per domain
ABANDONED_SECONDS = 3600.0  # after which an unfinished file can only be a dead process's


class BlockCache:
    """A folder of blocks that holds no more than `limit` bytes. It may be deleted at any time."""

    def __init__(self, folder: str, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._added = limit  # so that the first block makes the process look at what others left
        self._lock = threading.Lock()

    def map(self, name: str, fetch: Callable[[], bytes], intact: Callable[[mmap.mmap], bool]) -> mmap.mmap:
        """The block `name`, read-only; `fetch` gives its bytes where it is missing or what is kept is not `intact`."""
        while True:
            self.ensure(name, fetch)
            with contextlib.suppress(FileNotFoundError):  # evicted in between
                with open(self._path(name), "rb") as file:
                    if os.fstat(file.fileno()).st_size:
                        block = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
                        if intact(block):
                            return block
                os.unlink(self._path(name))  # torn by a crash of the host

    def ensure(self, name: str, fetch: Callable[[], bytes]) -> None:
        """Have the block on disk when this returns, fetched by this process or by another, and note its use.

        Raises what `fetch` raises, HeadwaterError where the folder cannot be written.
        """
        try:
            while not (self._touch(name) or self._fill(name, fetch)):
                pass
        except OSError as error:
            raise HeadwaterError(
                f"{self.folder}: the cache cannot be written ({error.strerror}); make room, give it another folder or "
                "a smaller limit"
            ) from error

    def _touch(self, name: str) -> bool:
        try:
            os.utime(self._path(name))
        except FileNotFoundError:
            return False
        return True

    def _fill(self, name: str, fetch: Callable[[], bytes]) -> bool:
        """Fetch a block; False where another process did so first."""
        path, part = self._path(name), self._path(f".{name}.part")
        os.makedirs(self.folder, exist_ok=True)
        with open(part, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.exists(path) or not _is(part, file.fileno()):
                return False
            try:
                data = fetch()
                self._make_room(len(data))
                file.truncate(0)
                file.write(data)
                file.flush()
                os.rename(part, path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part)
                raise
        return True

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _make_room(self, size: int) -> None:
        with self._lock:
            if self._added + size > self.limit // 64:
                self.sweep(size)
                self._added = 0
            self._added += size

    def sweep(self, room: int = 0) -> None:
        """Delete the blocks that were used longest ago until what is left and `room` are 7/8 of the limit at most."""
        found, total = [], room
        for entry in os.scandir(self.folder):
            with contextlib.suppress(FileNotFoundError):  # another process sweeps too
                state = entry.stat()
                if entry.name.endswith(".part"):
                    if time.time() - state.st_mtime > ABANDONED_SECONDS:
                        os.unlink(entry.path)
                    continue
                found.append((state.st_mtime_ns, entry.path, state.st_size))
                total += state.st_size
        for _, path, size in sorted(found):
            if total <= self.limit // 8 * 7:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size


def host_cache(folders: Iterable[str], folder: str | None = None, limit: int = CACHE_BYTES) -> BlockCache | None:
    """The cache that shards in these folders need: none where all are local.

    By default it is the folder `tokens` in the first of `user_caches` that can be written.
    """
    if all(storage.scheme(name) == "file" for name in folders):
        return None
    return BlockCache(folder or str(first_writable(user_caches(), "tokens")), limit)


def _is(path: str, descriptor: int) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
