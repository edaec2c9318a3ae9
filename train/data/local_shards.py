"""The bytes of token shards on a local disk: memory-mapped, so the operating system's page cache is the only cache.

A shard is mapped when a sample is first read from it. So a corpus of thousands of shards opens at once, and a process
holds only the shards that it reads.
"""

import mmap
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tokenizer.shard_index import DocumentIndex
from tokenizer.shards import TokenShards

WHOLE = 1 << 62  # a mapped shard need not be cut into parts


class LocalShards:
    """Where the tokens of local shards are in memory."""

    part_tokens = WHOLE

    def __init__(self, shards: TokenShards) -> None:
        self._shards = shards
        self._mapped: dict[int, npt.NDArray[np.int32]] = {}
        self.table = np.zeros(len(shards.shards), np.int64)  # addresses of the shards that are mapped, 0 for others
        self.index = lru_cache(maxsize=64)(self._open_index)

    def map(self, shard: int) -> None:
        """Map a shard; raise CorruptShard where it is cut short."""
        self._mapped[shard] = self._shards.tokens(shard)
        self.table[shard] = self._mapped[shard].ctypes.data

    def _open_index(self, shard: int) -> DocumentIndex:
        """The documents of a shard."""
        entry = self._shards.shards[shard]
        with open(entry.index_path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        return DocumentIndex(
            lambda offset, length: data[offset : offset + length], entry.num_documents, entry.index_path
        )
