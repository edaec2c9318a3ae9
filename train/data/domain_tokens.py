"""The tokens of one domain, read as a circle: after the last token of its last shard comes the first of the first.

A span may start anywhere on the circle, so no token is lost at the end of a shard, of a domain or of an epoch. Spans
are cut where shards (or the blocks of an object store) end. One compiled loop copies them from mapped memory, without
the interpreter lock.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from corpus.errors import UsageError
from corpus.io import storage
from corpus.kernels.types import I32, I64
from tokenizer.shards import TokenShards
from train.data.block_cache import BlockCache, host_cache
from train.data.local_shards import WHOLE, LocalShards
from train.data.remote_shards import RemoteShards

Array = I64


@intrinsic
def _copy_tokens(typing_context: Any, to: Any, source: Any, count: Any) -> Any:
    """memcpy of `count` int32 between two addresses; numba has no function for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = [builder.inttoptr(address, ir.IntType(32).as_pointer()) for address in arguments[:2]]
        cgutils.raw_memcpy(builder, *pointers, arguments[2], 4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@njit(nogil=True, cache=True)
def _cut(starts: Array, lengths: Array, targets: Array, bounds: Array, part: np.int64, parts: Array) -> int:
    """Cut spans of the circle where shards and parts of `part` tokens end.

    Rows of `parts`, as far as it has room: shard, token in the shard, tokens, target. Returns how many there are.
    """
    count = 0
    last = bounds.size - 2
    for i in range(starts.size):
        position, left, target = starts[i], lengths[i], targets[i]
        shard = np.searchsorted(bounds, position, side="right") - 1
        while left > 0:
            if position == bounds[shard + 1]:
                shard += 1
                if shard > last:
                    shard, position = 0, 0
                continue
            token = position - bounds[shard]
            take = min(left, bounds[shard + 1] - position, part - token % part)
            if count < parts.shape[1]:
                parts[0, count], parts[1, count], parts[2, count], parts[3, count] = shard, token, take, target
            count += 1
            position += take
            target += take
            left -= take
    return count


@njit(nogil=True, cache=True)
def _copy_parts(addresses: Array, parts: Array, out: I32) -> None:
    base = np.int64(out.ctypes.data)  # signed, as the offsets are: numba makes a float of signed plus unsigned
    for i in range(addresses.size):
        _copy_tokens(base + 4 * parts[3, i], addresses[i], parts[2, i])


@njit(nogil=True, cache=True)
def _copy_mapped(table: Array, starts: Array, lengths: Array, targets: Array, bounds: Array, out: I32) -> int:
    """Copy spans out of shards whose addresses are in `table`; return a shard that is not mapped, or -1 when done."""
    parts = np.empty((4, 2 * starts.size + 16), np.int64)
    count = _cut(starts, lengths, targets, bounds, WHOLE, parts)
    if count > parts.shape[1]:
        parts = np.empty((4, count), np.int64)
        _cut(starts, lengths, targets, bounds, WHOLE, parts)
    addresses = table[parts[0, :count]]
    for i in range(count):
        if addresses[i] == 0:
            return parts[0, i]
        addresses[i] += 4 * parts[1, i]
    _copy_parts(addresses, parts, out)
    return -1


class DomainTokens:
    """The circle of a domain's tokens, mapped from a local disk or fetched block by block into `cache`."""

    def __init__(self, name: str, shards: TokenShards, cache: BlockCache | None = None) -> None:
        """Raise UsageError for a domain without tokens."""
        self.name = name
        self.shards = shards
        self.reader: LocalShards | RemoteShards
        if cache is None or storage.scheme(shards.folder) == "file":
            self.reader = LocalShards(shards)
        else:
            self.reader = RemoteShards(shards, cache)
        self._bounds = np.cumsum([0, *(shard.num_tokens for shard in shards.shards)], dtype=np.int64)
        self.num_tokens = int(self._bounds[-1])
        if self.num_tokens == 0:
            raise UsageError(f"domain {name} has no tokens; leave it out of the mixture or give it documents")

    def parts(self, starts: Array, lengths: Array, targets: Array, part: int | None = None) -> Array:
        """Cut spans of the circle where shards end, and where parts of `part` tokens end (default: the reader's).

        A span is its first token, its number of tokens, and the offset where it is to be written. Returns int64[4, n]:
        shard, token in the shard, tokens, target.
        """
        part = part or self.reader.part_tokens
        parts = np.empty((4, 2 * starts.size + 16), np.int64)
        count = _cut(starts, lengths, targets, self._bounds, part, parts)
        if count > parts.shape[1]:
            parts = np.empty((4, count), np.int64)
            _cut(starts, lengths, targets, self._bounds, part, parts)
        return parts[:, :count]

    def copy(self, starts: Array, lengths: Array, targets: Array, out: I32) -> None:
        """Copy spans of the circle into a C-contiguous array, each to its offset in tokens (`targets`)."""
        if isinstance(self.reader, LocalShards):
            while (shard := _copy_mapped(self.reader.table, starts, lengths, targets, self._bounds, out)) >= 0:
                self.reader.map(shard)
            return
        parts = self.parts(starts, lengths, targets)
        addresses, held = self.reader.addresses(parts[0], parts[1])
        _copy_parts(addresses, parts, out)
        del held  # what is mapped must be there until here

    def read(self, start: int, length: int) -> I32:
        """`length` tokens from `start` on: int32[length]."""
        out = np.empty(length, np.int32)
        self.copy(np.array([start]), np.array([length]), np.zeros(1, np.int64), out)
        return out

    def document_starts(self, start: int, length: int) -> Array:
        """Where documents begin among `length` tokens from `start` on, counted from there: int64, ascending, distinct.

        The joint of the circle, where the first document follows the last, is a beginning too.
        """
        found = [np.zeros(0, np.int64)]
        whole = self.parts(np.array([start]), np.array([length]), np.zeros(1, np.int64), WHOLE)
        for shard, first, count, target in whole.T.tolist():
            found.append(self.reader.index(shard).starts(first, first + count) - first + target)
        return np.unique(np.concatenate(found))

    def documents(self, start: int, length: int) -> I32:
        """For each of `length` tokens from `start`, the number of its document among them (int32, from 0)."""
        begins = np.zeros(length, np.int32)
        begins[self.document_starts(start, length)] = 1
        begins[0] = 0
        return np.cumsum(begins, dtype=np.int32)


def first_tokens(shards: TokenShards, limit: int | None) -> I32:
    """The first `limit` tokens of a folder (None: all), int32; from an object store through the host's cache."""
    wanted = shards.num_tokens if limit is None else min(limit, shards.num_tokens)
    if not wanted:
        return np.zeros(0, np.int32)
    return DomainTokens(shards.folder, shards, host_cache([shards.folder])).read(0, wanted)
