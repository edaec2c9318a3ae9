"""The tokens of one domain, read as a circle of fixed windows.

A domain's shards laid end to end, the end joined to the beginning, make a circle of tokens. A window may
start anywhere on it, so no token is lost at the end of a shard, of a domain or of an epoch. Windows are
copied from the memory-mapped shards by one compiled loop without the interpreter lock; the operating system's
page cache is the only cache.
"""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from corpus.errors import UsageError
from tokenizer.shards import TokenShards
from train.local import local_tokens


@intrinsic
def _copy_tokens(typing_context: Any, to: Any, source: Any, count: Any) -> Any:
    """memcpy of `count` int32 between two addresses, which numba offers no other way to."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = [builder.inttoptr(address, ir.IntType(32).as_pointer()) for address in arguments[:2]]
        cgutils.raw_memcpy(builder, *pointers, arguments[2], 4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@njit(nogil=True, cache=True)
def _copy_windows(
    addresses: npt.NDArray[np.int64],
    bounds: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    out: npt.NDArray[np.int32],
) -> None:
    width = out.shape[1]
    base = np.int64(out.ctypes.data)  # signed, as all else: numba makes a float of signed plus unsigned
    for i in range(starts.size):
        position = starts[i]
        shard = np.searchsorted(bounds, position, side="right") - 1
        filled = 0
        while filled < width:
            if position == bounds[shard + 1]:
                shard += 1
                if shard == addresses.size:
                    shard, position = 0, 0
                continue
            take = min(width - filled, bounds[shard + 1] - position)
            row = base + 4 * (rows[i] * width + filled)
            _copy_tokens(row, addresses[shard] + 4 * (position - bounds[shard]), take)
            filled += take
            position += take


class DomainTokens:
    """The circle of a domain's tokens. Those of an object store are fetched first."""

    def __init__(self, name: str, shards: TokenShards) -> None:
        """Raise UsageError for a domain without tokens."""
        self.name = name
        self.shards = shards
        self._tokens = [local_tokens(shards, i) for i in range(len(shards.shards))]  # keeps the mappings alive
        self._bounds = np.cumsum([0, *(len(tokens) for tokens in self._tokens)], dtype=np.int64)
        self._addresses = np.array([tokens.ctypes.data for tokens in self._tokens], np.int64)
        self.num_tokens = int(self._bounds[-1])
        if self.num_tokens == 0:
            raise UsageError(f"domain {name} has no tokens; leave it out of the mixture or give it documents")

    @property
    def fingerprint(self) -> str:
        """A hash of the shards' sizes and checksums, as their manifest has them."""
        content = [self.shards.manifest["shards"], self.shards.manifest["files"]]
        return xxhash.xxh3_128_hexdigest(json.dumps(content, sort_keys=True).encode())

    def copy(self, starts: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], out: npt.NDArray[np.int32]) -> None:
        """Copy the window that starts at token `starts[i]` into `out[rows[i]]`, a row of a C-contiguous array."""
        _copy_windows(self._addresses, self._bounds, starts, rows, out)

    def documents(self, start: int, length: int) -> npt.NDArray[np.int32]:
        """For each of `length` tokens from `start`, the number of its document in the window (int32, from 0).

        The joint of the circle, where the first document follows the last, is a boundary too.
        """
        begins = np.zeros(length, np.int32)
        position, filled = start, 0
        while filled < length:
            shard = int(np.searchsorted(self._bounds, position, side="right")) - 1
            take = min(length - filled, int(self._bounds[shard + 1]) - position)
            offsets = self.shards.document_offsets(shard)
            first = position - int(self._bounds[shard])
            low, high = np.searchsorted(offsets, [first, first + take])
            begins[filled + np.asarray(offsets[low:high], np.int64) - first] = 1
            filled += take
            position = (position + take) % self.num_tokens
        begins[0] = 0
        return np.cumsum(begins, dtype=np.int32)
