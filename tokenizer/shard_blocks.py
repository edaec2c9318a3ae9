"""`NNNNN.blocks` beside a shard: the checksum of each block of its `.bin` and `.idx`, so that a part can be trusted.

A reader of an object store fetches a shard in blocks, and the checksum of the whole file says nothing of a part. The
checksums of all blocks of a large corpus would be a hundred megabytes of manifest. So each shard has its own in a small
file, which the manifest's checksum covers in turn: manifest -> `.blocks` -> block. All little-endian:

    8 bytes   magic "HWBLOCKS"
    8 bytes   size of a block in bytes       8 bytes  size of the .bin       8 bytes  size of the .idx
    u64 each  xxh3_64 of the blocks of the .bin, then of those of the .idx. The last of each file may be shorter
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from corpus.errors import CorruptShard

BLOCK_BYTES = 1 << 20  # 1 MiB: large beside the latency of a request, small enough to shuffle
_MAGIC = b"HWBLOCKS"
_HEADER = struct.Struct("<8sQQQ")


class BlockSums:
    """Checksums of the blocks of a file that is written part by part."""

    def __init__(self, block_bytes: int = BLOCK_BYTES) -> None:
        self.block_bytes = block_bytes
        self.size = 0
        self._sums: list[int] = []
        self._open = xxhash.xxh3_64()

    def update(self, data: bytes) -> None:
        """Go on with the bytes that follow."""
        view = memoryview(data)
        while view:
            room = self.block_bytes - self.size % self.block_bytes
            self._open.update(view[:room])
            self.size += min(room, len(view))
            view = view[room:]
            if self.size % self.block_bytes == 0:
                self._sums.append(self._open.intdigest())
                self._open = xxhash.xxh3_64()

    def finish(self) -> list[int]:
        """The checksums of all blocks so far, the last one that is not full included."""
        return [*self._sums, self._open.intdigest()] if self.size % self.block_bytes else self._sums


def build_blocks(tokens: BlockSums, index: BlockSums) -> bytes:
    """The content of a `.blocks` file from the sums of the `.bin` and of the `.idx`."""
    sums = np.array([*tokens.finish(), *index.finish()], "<u8")
    return _HEADER.pack(_MAGIC, tokens.block_bytes, tokens.size, index.size) + sums.tobytes()


@dataclass(frozen=True)
class ShardBlocks:
    """The block checksums of a shard, by the suffix of the file (`bin` or `idx`): uint64[blocks] each."""

    block_bytes: int
    sizes: dict[str, int]
    sums: dict[str, npt.NDArray[np.uint64]]

    def length(self, suffix: str, block: int) -> int:
        """The bytes of a block."""
        return min(self.block_bytes, self.sizes[suffix] - block * self.block_bytes)


def parse_blocks(data: bytes, path: str) -> ShardBlocks:
    """Read a `.blocks` file; raise CorruptShard, naming `path`, where it is not one."""
    if len(data) < _HEADER.size or data[:8] != _MAGIC:
        raise CorruptShard(path, "it does not begin as a file of block checksums")
    _, block_bytes, tokens, index = _HEADER.unpack_from(data)
    counts = [-(-size // block_bytes) if block_bytes else 0 for size in (tokens, index)]
    if len(data) != _HEADER.size + 8 * sum(counts):
        raise CorruptShard(path, f"{len(data):,} bytes, but {sum(counts):,} blocks are announced")
    sums = np.frombuffer(data, "<u8", offset=_HEADER.size)
    return ShardBlocks(block_bytes, {"bin": tokens, "idx": index}, {"bin": sums[: counts[0]], "idx": sums[counts[0] :]})
