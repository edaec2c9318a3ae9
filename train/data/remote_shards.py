"""The bytes of token shards in an object store: fetched in whole blocks, checked, kept on disk, and mapped.

A corpus may be larger than a host's disk, so a shard is never fetched whole. Its blocks (1 MiB) are read by ranged
requests when a sample is first read from them, or before that by the prefetcher. They are checked against the shard's
`.blocks` and kept in the host's `BlockCache`. What arrives broken (a connection that is cut, a throttled request, a
flipped bit) is asked for again after a growing, random pause. A block that stays broken is an error that names its
shard and offset.
"""

import mmap
import os
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from corpus.errors import CorruptShard, HeadwaterError, UsageError
from corpus.io import storage
from tokenizer.shard_blocks import ShardBlocks, parse_blocks
from tokenizer.shard_format import ITEM_BYTES, index_bytes
from tokenizer.shard_index import DocumentIndex
from tokenizer.shards import TokenShards
from train.data.block_cache import BlockCache

ATTEMPTS = 8  # of reading a block, each of which the S3 client has repeated by itself already
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds; doubled each time, times a random factor of a half to one
MAPPED_BLOCKS = 1024  # that a process keeps mapped per domain: a shuffle buffer of the order


def read_again(read: Callable[[], bytes], intact: Callable[[bytes], bool], path: str, offset: int) -> bytes:
    """What `read` returns, as soon as it is intact.

    Raises CorruptShard where the bytes are wrong every time, HeadwaterError where every request fails.
    """
    pause, problem = FIRST_PAUSE, ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * random.uniform(0.5, 1))  # hosts that were throttled together must not retry together
            pause = min(2 * pause, LONGEST_PAUSE)
        try:
            data = read()
        except FileNotFoundError:
            raise CorruptShard(path, "the file is missing") from None
        except OSError as error:
            problem = str(error).splitlines()[0]
            continue
        if intact(data):
            return data
        problem = ""
    if problem:
        raise HeadwaterError(
            f"{path}: {ATTEMPTS} requests for the block at byte {offset:,} failed (the last: {problem}); check the "
            "network and the endpoint, and start again: a run goes on from its last checkpoint"
        )
    raise CorruptShard(path, f"the block at byte {offset:,} was read {ATTEMPTS} times and never had its checksum")


class RemoteShards:
    """Where the tokens of shards in an object store are in memory, block by block."""

    def __init__(self, shards: TokenShards, cache: BlockCache) -> None:
        """Raise UsageError for shards without block checksums."""
        if "block_bytes" not in shards.manifest:
            raise UsageError(
                f"{shards.folder}: shards without block checksums can only be read from a local disk; copy them to "
                "one, or make them again"
            )
        self._shards = shards
        self._cache = cache
        self._block_bytes = int(shards.manifest["block_bytes"])
        self.part_tokens = self._block_bytes // ITEM_BYTES
        self._mapped: OrderedDict[tuple[int, str, int], npt.NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()
        self.index = lru_cache(maxsize=64)(self._open_index)
        self._sums = lru_cache(maxsize=1024)(self._read_sums)
        self._files = lru_cache(maxsize=64)(lambda path, process: storage.open_input(path))

    def addresses(
        self, shards: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], object]:
        """The address of each `tokens[i]` of shard `shards[i]`, and what has to be kept alive while it is read."""
        blocks, within = np.divmod(tokens, self.part_tokens)
        held = [self._block(shard, "bin", block) for shard, block in zip(shards.tolist(), blocks.tolist())]
        return np.array([block.ctypes.data for block in held], np.int64) + ITEM_BYTES * within, held

    def fetch(self, shard: int, block: int) -> None:
        """Have a block of tokens on disk."""
        self._cache.ensure(self._name(shard, "bin", block), lambda: self._read(shard, "bin", block))

    def _open_index(self, shard: int) -> DocumentIndex:
        """The documents of a shard."""
        entry = self._shards.shards[shard]

        def read(offset: int, length: int) -> bytes:
            parts = []
            while length > 0:
                block, within = divmod(offset, self._block_bytes)
                parts.append(self._block(shard, "idx", block)[within : within + length].tobytes())
                offset, length = offset + len(parts[-1]), length - len(parts[-1])
            return b"".join(parts)

        return DocumentIndex(read, entry.num_documents, entry.index_path)

    def _block(self, shard: int, suffix: str, block: int) -> npt.NDArray[np.uint8]:
        """A block, mapped; it is checked when this process maps it, even if another process fetched it."""
        key = (shard, suffix, block)
        with self._lock:
            if key in self._mapped:
                self._mapped.move_to_end(key)
                return self._mapped[key]
        expected = int(self._sums(shard).sums[suffix][block])
        data = self._cache.map(
            self._name(shard, suffix, block),
            lambda: self._read(shard, suffix, block),
            lambda kept: xxhash.xxh3_64_intdigest(kept) == expected,
        )
        with self._lock:
            self._mapped[key] = np.frombuffer(data, np.uint8)
            if len(self._mapped) > MAPPED_BLOCKS:
                self._mapped.popitem(last=False)
            return self._mapped[key]

    def _name(self, shard: int, suffix: str, block: int) -> str:
        return f"{self._shards.checksums[self._file_name(shard, suffix)]}-{block:06d}"

    def _file_name(self, shard: int, suffix: str) -> str:
        return f"{self._shards.manifest['shards'][shard]['name']}.{suffix}"

    def _read(self, shard: int, suffix: str, block: int) -> bytes:
        """A block from the object store."""
        path = storage.join(self._shards.folder, self._file_name(shard, suffix))
        sums = self._sums(shard)
        offset, expected = block * self._block_bytes, int(sums.sums[suffix][block])

        def read() -> bytes:
            file: Any = self._files(path, os.getpid())  # open, so that a block is one request
            return bytes(file.read_at(sums.length(suffix, block), offset))

        return read_again(read, lambda data: xxhash.xxh3_64_intdigest(data) == expected, path, offset)

    def _read_sums(self, shard: int) -> ShardBlocks:
        """The block checksums of a shard, which the manifest's checksum covers."""
        name = self._file_name(shard, "blocks")
        path, expected = storage.join(self._shards.folder, name), self._shards.checksums[name]

        def intact(data: bytes | mmap.mmap) -> bool:
            return xxhash.xxh3_128_hexdigest(data) == expected

        kept = self._cache.map(expected, lambda: read_again(lambda: storage.read_bytes(path), intact, path, 0), intact)
        sums = parse_blocks(kept[:], path)
        entry = self._shards.shards[shard]
        sizes = {"bin": ITEM_BYTES * entry.num_tokens, "idx": index_bytes(entry.num_documents)}
        if (sums.block_bytes, sums.sizes) != (self._block_bytes, sizes):  # or reading would run over the end of a block
            found = ", ".join(f".{suffix} of {size:,} bytes" for suffix, size in sums.sizes.items())
            raise CorruptShard(path, f"{found} in blocks of {sums.block_bytes:,} are not what the manifest says")
        return sums
