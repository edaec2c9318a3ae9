"""Byte-pair training: from counts of pieces to merges, the same as the `tokenizers` library's `BpeTrainer`.

Start from single bytes; again and again join the most frequent pair of neighbouring tokens into a new one. The
library's choices are kept, because they decide which vocabulary comes out: among pairs of equal count the one with
the smaller ids wins, ids of bytes follow the order of their byte-level symbols, a word is joined from left to right,
and a token that can be made of two different pairs has one id. What is done differently is only how: words lie in one
flat array, a chain for each pair lists the words it occurs in, and a heap holds counts that are corrected when they
come up. Counts are 64 bits wide."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpus.buffers import utf8_buffers
from tokenizer.alphabet import ALPHABET, byte_ids
from tokenizer.bytes_table import FIELDS, LENGTH, SPARE, VALUE, add, find, hash_bytes
from tokenizer.counts import read_weights

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio
_NONE = -1


@dataclass(frozen=True)
class Merges:
    """What training gives: the tokens in order of id, and the pairs of ids in order of rank with what each makes."""

    tokens: list[bytes]
    pairs: npt.NDArray[np.int32]  # [merges, 2]
    made: npt.NDArray[np.int32]  # [merges], the id of the token that the pair makes


def train(counts: pa.Table, vocab_size: int, min_frequency: int = 2) -> Merges:
    """Train on a table of counts (`tokenizer.counts.SCHEMA`) up to `vocab_size` tokens, the alphabet's included.

    Stops early where no pair occurs `min_frequency` times. Memory: about 12 bytes a byte of distinct pieces and 40 a
    distinct pair. Raises ValueError for a vocabulary smaller than the alphabet, or pieces that are not UTF-8.
    """
    if vocab_size < len(ALPHABET):
        raise ValueError(f"a vocabulary of {vocab_size} has no room for the alphabet of {len(ALPHABET)} bytes")
    data, offsets = utf8_buffers(counts["piece"])
    symbols = byte_ids()[data[: offsets[-1]]]
    if len(symbols) and symbols.min() < 0:
        raise ValueError("some piece holds a byte that never occurs in UTF-8")
    alphabet = np.array(ALPHABET, np.uint8)
    pairs, made, starts, arena = _train(symbols, offsets, read_weights(counts), alphabet, vocab_size, min_frequency)
    raw = arena.tobytes()
    tokens = [raw[first:last] for first, last in zip(starts[:-1].tolist(), starts[1:].tolist())]
    return Merges(tokens, pairs, made)


@njit(nogil=True, cache=True)
def _slot(keys: npt.NDArray[np.uint64], key: Any) -> Any:
    """Where a pair's key lies in the table, or the empty (0) slot where it belongs. Keys are never 0."""
    mask = np.uint64(keys.size - 1)
    slot = key * _MULTIPLIER
    slot = (slot ^ (slot >> np.uint64(29))) & mask
    while keys[slot] != np.uint64(0) and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return np.int64(slot)


@njit(nogil=True, cache=True)
def _key(left: int, right: int) -> Any:
    """A pair as one number, ordered as the pair is."""
    return (np.uint64(left + 1) << np.uint64(32)) | np.uint64(right + 1)


@njit(nogil=True, cache=True)
def _before(count: int, key: Any, other_count: int, other_key: Any) -> bool:
    return count > other_count or (count == other_count and key < other_key)


@njit(nogil=True, cache=True)
def _push(
    counts: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    chains: npt.NDArray[np.int64],
    size: int,
    count: int,
    key: Any,
    chain: int,
) -> int:
    """Put an entry on the heap; return its new size."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if not _before(count, key, counts[above], keys[above]):
            break
        counts[at], keys[at], chains[at] = counts[above], keys[above], chains[above]
        at = above
    counts[at], keys[at], chains[at] = count, key, chain
    return size + 1


@njit(nogil=True, cache=True)
def _sink(
    counts: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    chains: npt.NDArray[np.int64],
    size: int,
    count: int,
    key: Any,
    chain: int,
) -> None:
    """Put an entry in the place of the heap's top."""
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and _before(counts[below + 1], keys[below + 1], counts[below], keys[below]):
            below += 1
        if not _before(counts[below], keys[below], count, key):
            break
        counts[at], keys[at], chains[at] = counts[below], keys[below], chains[below]
        at = below
    counts[at], keys[at], chains[at] = count, key, chain


@njit(nogil=True, cache=True)
def _grown(array: Any, needed: int) -> Any:
    """A copy of the array with room for `needed` entries at least. Called only where there is none: passing arrays
    through a function for each word would count references most of the time."""
    larger = np.zeros(max(needed, 2 * array.size), array.dtype)
    larger[: array.size] = array
    return larger


@njit(nogil=True, cache=True)
def _grow_pairs(
    keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64], heads: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The table of pairs with twice the slots."""
    new_keys = np.zeros(2 * keys.size, np.uint64)
    new_counts = np.zeros(2 * keys.size, np.int64)
    new_heads = np.full(2 * keys.size, _NONE, np.int64)
    for old in range(keys.size):
        if keys[old] != np.uint64(0):
            slot = _slot(new_keys, keys[old])
            new_keys[slot], new_counts[slot], new_heads[slot] = keys[old], counts[old], heads[old]
    return new_keys, new_counts, new_heads


@njit(nogil=True, cache=True)
def _token_id(
    slots: npt.NDArray[np.int64], arena: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], tokens: int
) -> int:
    """The id of the token whose bytes lie after the last one's in the arena; a new id where it is not known."""
    first, last = starts[tokens], starts[tokens + 1]
    hashed = hash_bytes(arena, first, last)
    slot = find(slots, arena, hashed, arena, first, last)
    if slots[slot + LENGTH] == 0:
        add(slots, arena, slot, hashed, arena, first, last, first)
        slots[slot + VALUE] = tokens
    return slots[slot + VALUE]


@njit(nogil=True, cache=True)
def _train(
    symbols: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int64],
    alphabet: npt.NDArray[np.uint8],
    vocab_size: int,
    min_frequency: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    words = offsets.size - 1
    lengths = np.empty(words, np.int64)
    # Tokens: their bytes end to end, and a table that finds one by its bytes.
    starts = np.zeros(vocab_size + 2, np.int64)
    arena = np.zeros(16 * vocab_size + SPARE, np.uint8)
    size = 1
    while size < 4 * vocab_size:
        size *= 2
    slots = np.zeros(size * FIELDS, np.int64)
    tokens = np.int64(0)
    for byte in alphabet:
        arena[tokens] = byte
        starts[tokens + 1] = tokens + 1
        _token_id(slots, arena, starts, tokens)
        tokens += 1
    # Pairs: count, and the chain of the words where the pair has newly come up.
    keys = np.zeros(1 << 16, np.uint64)
    counts = np.zeros(keys.size, np.int64)
    heads = np.full(keys.size, _NONE, np.int64)
    chain_word = np.empty(1 << 16, np.int32)
    chain_next = np.empty(1 << 16, np.int64)
    links = np.int64(0)
    pairs = np.int64(0)
    for word in range(words):
        first, last = offsets[word], offsets[word + 1]
        lengths[word] = last - first
        if chain_word.size < links + last - first:
            chain_word = _grown(chain_word, links + last - first)
        if chain_next.size < links + last - first:
            chain_next = _grown(chain_next, links + last - first)
        while 2 * (pairs + last - first) > keys.size:
            keys, counts, heads = _grow_pairs(keys, counts, heads)
        for at in range(first, last - 1):
            key = _key(symbols[at], symbols[at + 1])
            slot = _slot(keys, key)
            if keys[slot] == np.uint64(0):
                keys[slot] = key
                pairs += 1
            counts[slot] += weights[word]
            if heads[slot] == _NONE or chain_word[heads[slot]] != word:
                chain_word[links], chain_next[links] = word, heads[slot]
                heads[slot] = links
                links += 1
    heap_counts = np.empty(pairs + 1, np.int64)
    heap_keys = np.empty(pairs + 1, np.uint64)
    heap_chains = np.empty(pairs + 1, np.int64)
    heap = 0
    for slot in range(keys.size):
        if counts[slot] > 0:
            heap = _push(heap_counts, heap_keys, heap_chains, heap, counts[slot], keys[slot], heads[slot])
            heads[slot] = _NONE
    merged = np.empty((vocab_size, 2), np.int32)
    made = np.empty(vocab_size, np.int32)
    touched = np.empty(1 << 12, np.uint64)
    ranks = 0
    while tokens < vocab_size and heap > 0:
        count, key, chain = heap_counts[0], heap_keys[0], heap_chains[0]
        current = counts[_slot(keys, key)]
        if count != current:
            _sink(heap_counts, heap_keys, heap_chains, heap, current, key, chain)
            continue
        if count < 1 or count < min_frequency:
            break
        heap -= 1
        _sink(heap_counts, heap_keys, heap_chains, heap, heap_counts[heap], heap_keys[heap], heap_chains[heap])
        left = np.int32(np.int64(key >> np.uint64(32)) - 1)
        right = np.int32(np.int64(key & np.uint64(0xFFFFFFFF)) - 1)
        # The new token's bytes go behind the last token's; where it is known already, they are forgotten again.
        left_bytes, right_bytes = starts[left + 1] - starts[left], starts[right + 1] - starts[right]
        end = starts[tokens]
        if arena.size < end + left_bytes + right_bytes + SPARE:
            arena = _grown(arena, end + left_bytes + right_bytes + SPARE)
        arena[end : end + left_bytes] = arena[starts[left] : starts[left + 1]]
        arena[end + left_bytes : end + left_bytes + right_bytes] = arena[starts[right] : starts[right + 1]]
        starts[tokens + 1] = end + left_bytes + right_bytes
        new = np.int32(_token_id(slots, arena, starts, tokens))
        if new == tokens:
            tokens += 1
        if ranks == made.size:
            if made.size < 2 * ranks:
                made = _grown(made, 2 * ranks)
            larger = np.empty((2 * ranks, 2), np.int32)
            larger[:ranks] = merged
            merged = larger
        merged[ranks, 0], merged[ranks, 1], made[ranks] = left, right, new
        ranks += 1
        # At most a pair with every token before and after the new one can come up.
        while 2 * (pairs + 2 * tokens + 2) > keys.size:
            keys, counts, heads = _grow_pairs(keys, counts, heads)
        news = 0
        while chain != _NONE:
            word, chain = chain_word[chain], chain_next[chain]
            first, length, weight = offsets[word], lengths[word], weights[word]
            if chain_word.size < links + 2 * length:
                chain_word = _grown(chain_word, links + 2 * length)
            if chain_next.size < links + 2 * length:
                chain_next = _grown(chain_next, links + 2 * length)
            if touched.size < news + 2 * length:
                touched = _grown(touched, news + 2 * length)
            at = first
            to = first
            last = first + length
            while at < last:
                if symbols[at] != left or at + 1 >= last or symbols[at + 1] != right:
                    symbols[to] = symbols[at]
                    at += 1
                    to += 1
                    continue
                for side in range(2):
                    if side == 0:
                        if to == first:
                            continue
                        old, formed = _key(symbols[to - 1], left), _key(symbols[to - 1], new)
                    else:
                        if at + 2 >= last:
                            continue
                        old, formed = _key(right, symbols[at + 2]), _key(new, symbols[at + 2])
                    slot = _slot(keys, old)
                    if keys[slot] == np.uint64(0):
                        keys[slot] = old
                        pairs += 1
                    counts[slot] -= weight
                    slot = _slot(keys, formed)
                    if keys[slot] == np.uint64(0):
                        keys[slot] = formed
                        pairs += 1
                    counts[slot] += weight
                    if heads[slot] == _NONE:
                        touched[news] = formed
                        news += 1
                    if heads[slot] == _NONE or chain_word[heads[slot]] != word:
                        chain_word[links], chain_next[links] = word, heads[slot]
                        heads[slot] = links
                        links += 1
                symbols[to] = new
                to += 1
                at += 2
            lengths[word] = to - first
        for at in range(news):
            slot = _slot(keys, touched[at])
            if counts[slot] > 0:
                if heap_counts.size < heap + 1:
                    heap_counts = _grown(heap_counts, heap + 1)
                if heap_keys.size < heap + 1:
                    heap_keys = _grown(heap_keys, heap + 1)
                if heap_chains.size < heap + 1:
                    heap_chains = _grown(heap_chains, heap + 1)
                heap = _push(heap_counts, heap_keys, heap_chains, heap, counts[slot], touched[at], heads[slot])
            heads[slot] = _NONE
    return merged[:ranks].copy(), made[:ranks].copy(), starts[: tokens + 1].copy(), arena[: starts[tokens]].copy()
