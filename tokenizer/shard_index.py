"""Which documents begin in a range of a shard's tokens, found in its `.idx` without reading all of it.

The offsets of an `.idx` ascend, so a binary search finds the first document of a range, and one read gives the others.
A shard of a quarter of a billion tokens has an index of several megabytes, of which a training sample reads a few
dozen bytes.
"""

import struct
from bisect import bisect_left
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from corpus.errors import CorruptShard
from tokenizer.shard_format import HEADER_BYTES, ITEM_BYTES, parse_header

Read = Callable[[int, int], bytes]  # (offset, length) -> bytes


class DocumentIndex:
    """The `.idx` of a shard, read in parts through `read`."""

    def __init__(self, read: Read, documents: int, path: str) -> None:
        """Raise CorruptShard where its header is not that of a shard of so many documents."""
        found = parse_header(read(0, HEADER_BYTES), path)
        if found != documents:
            raise CorruptShard(path, f"it lists {found:,} documents, the manifest {documents:,}")
        self._read = read
        self._documents = documents
        self._at = HEADER_BYTES + 4 * documents  # where the byte offsets of documents begin

    def __len__(self) -> int:
        return self._documents

    def __getitem__(self, document: int) -> int:
        """The first token of a document."""
        return int(struct.unpack("<q", self._read(self._at + 8 * document, 8))[0]) // ITEM_BYTES

    def starts(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """The first tokens of the documents that begin at tokens `first` to `last - 1`, ascending."""
        low = bisect_left(self, first)
        high = bisect_left(self, last, low)
        return np.frombuffer(self._read(self._at + 8 * low, 8 * (high - low)), "<i8") // ITEM_BYTES
