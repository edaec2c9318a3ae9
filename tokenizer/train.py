"""Byte-pair training: from counts of pretokens to merges, the same as the `tokenizers` library's `BpeTrainer`.

Start from single bytes; again and again join the most frequent pair of neighbouring tokens into a new one. The
library's choices are kept, because they decide which vocabulary comes out: among pairs of equal count the one with
the smaller ids wins, ids of bytes follow the order of their byte-level symbols. A word is joined from left to right,
and a token that can be made of two different pairs has one id. What is done differently is only how. Words lie in one
flat array. All new pairs of one merge hold the new token. So what they gain is added up by the other token, in an
array and not in a hash table. The lists of the words where they came up are written one behind the other. A heap holds
counts that are corrected when they come up. Counts are 64 bits wide."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels import hash_table
from corpus.kernels.bytes_table import FIELDS, LENGTH, SPARE, VALUE, add, find
from corpus.kernels.hashing import hash_key
from corpus.kernels.memory import prefetch
from corpus.kernels.types import I32, I64, U8, Word
from tokenizer.alphabet import ALPHABET, byte_ids
from tokenizer.pair_heap import COUNT, END, FIRST, KEY, push, replace_first
from tokenizer.pair_heap import FIELDS as HEAP_FIELDS
from tokenizer.pair_table import pair_key, with_room
from tokenizer.pretoken_counts import read_weights

# A word: where its symbols begin and end (they grow fewer), and how often it occurs.
_BEGIN, _STOP, _WEIGHT = 0, 1, 2
# What a merge gathers for a neighbour of the new token: by how much the pair of the two has grown, in how many words
# it came up, the last of these plus one, and where the next goes in the lists (0: not known yet, -1: nowhere).
_GAIN, _WORDS, _LATEST, _NEXT = 0, 1, 2, 3


@dataclass(frozen=True)
class Merges:
    """What training gives: the tokens in order of id, and the pairs of ids in order of rank with what each makes."""

    tokens: list[bytes]
    pairs: I32  # [merges, 2]
    made: I32  # [merges], the id of the token that the pair makes


def train(counts: pa.Table, vocab_size: int, min_frequency: int = 2) -> Merges:
    """Train on a table of counts (`tokenizer.pretoken_counts.SCHEMA`) up to `vocab_size` tokens, the alphabet's
    included.

    Stops early where no pair occurs `min_frequency` times. Memory: 4 bytes per byte of distinct pretokens and 4 to 12
    more for lists of words, 24 per pretoken, about 60 per distinct pair.

    Raises ValueError for a vocabulary smaller than the alphabet, or pretokens that are not UTF-8.
    """
    if vocab_size < len(ALPHABET):
        raise ValueError(f"a vocabulary of {vocab_size} has no room for the alphabet of {len(ALPHABET)} bytes")
    data, offsets = utf8_buffers(counts["pretoken"])
    symbols = byte_ids()[data[: offsets[-1]]]
    if len(symbols) and symbols.min() < 0:
        raise ValueError("some pretoken holds a byte that never occurs in UTF-8")
    words = np.stack([offsets[:-1], offsets[1:], read_weights(counts)], axis=1)
    alphabet = np.array(ALPHABET, np.uint8)
    pairs, made, starts, arena = _train(symbols, words, alphabet, vocab_size, min_frequency)
    raw = arena.tobytes()
    tokens = [raw[first:last] for first, last in zip(starts[:-1].tolist(), starts[1:].tolist())]
    return Merges(tokens, pairs, made)


@njit(nogil=True, cache=True)
def _grown(array: Any, needed: int) -> Any:
    """A copy of the array with room for `needed` rows at least."""
    larger = np.empty((max(needed, array.shape[0] * 3 // 2), *array.shape[1:]), array.dtype)
    larger[: array.shape[0]] = array
    return larger


@njit(nogil=True, cache=True)
def _first_pairs(words: I64, symbols: I32, alphabet: int) -> tuple[I64, I64, int, I32, int]:
    """The pairs of bytes: their table, the heap and its size, and the lists of words with how much of them is used.

    The lists never need more room than this: a pair in a word is one entry, and each time two symbols become one, at
    most two more come up. What is not used of it is never touched, so it takes no memory."""
    near = np.zeros((alphabet * alphabet, 4), np.int64)
    joints = np.int64(0)
    for word in range(words.shape[0]):
        joints += max(0, words[word, _STOP] - words[word, _BEGIN] - 1)
        for at in range(words[word, _BEGIN], words[word, _STOP] - 1):
            pair = symbols[at] * alphabet + symbols[at + 1]
            near[pair, _GAIN] += words[word, _WEIGHT]
            near[pair, _WORDS] += near[pair, _LATEST] != word + 1
            near[pair, _LATEST] = word + 1
    lists = np.empty(3 * joints, np.int32)
    used: Word = np.int64(0)
    table = np.zeros(1 << 17, np.int64)
    heap = np.empty((near.shape[0], HEAP_FIELDS), np.int64)
    size = 0
    for pair in range(near.shape[0]):
        if near[pair, _GAIN] > 0:
            key = pair_key(pair // alphabet, pair % alphabet)
            table = with_room(table, size + 1)
            slot = hash_table.find(table, key)
            table[slot], table[slot + 1] = key, near[pair, _GAIN]
            size = push(heap, size, near[pair, _GAIN], key, used, used + near[pair, _WORDS])
            near[pair, _NEXT] = used
            used += near[pair, _WORDS]
    near[:, _LATEST] = 0
    for word in range(words.shape[0]):
        for at in range(words[word, _BEGIN], words[word, _STOP] - 1):
            pair = symbols[at] * alphabet + symbols[at + 1]
            if near[pair, _LATEST] != word + 1:
                near[pair, _LATEST] = word + 1
                lists[near[pair, _NEXT]] = word
                near[pair, _NEXT] += 1
    return table, heap, size, lists, used


@njit(nogil=True, cache=True)
def _join_in_words(
    words: I64, symbols: I32, chosen: I32, left: int, right: int, new: int, near: I64, events: I64
) -> tuple[I64, int, int, int]:
    """Join a pair in the chosen words. Row 2x of `near` is for the pair (x, new), 2x + 1 for (new, x).

    Returns: events (row of near << 32 | word), one where a pair comes up in a word, and how many there are. How often
    the pair (new, left) has gone, and how often (right, new)."""
    count: Word = 0
    gone_left: Word = np.int64(0)
    gone_new: Word = np.int64(0)
    for item in range(chosen.size):
        if item + 16 < chosen.size:
            prefetch(words, np.int64(chosen[item + 16]) * 3)
            prefetch(symbols, words[chosen[item + 8], _BEGIN])
        word = np.int64(chosen[item])
        begin, stop, weight = words[word, _BEGIN], words[word, _STOP], words[word, _WEIGHT]
        if events.size < count + 2 * (stop - begin):
            events = _grown(events, count + 2 * (stop - begin))
        at = to = begin
        while at < stop:
            if symbols[at] != left or at + 1 >= stop or symbols[at + 1] != right:
                symbols[to] = symbols[at]
                at += 1
                to += 1
                continue
            for side in range(2):
                if side == 0:
                    if to == begin:
                        continue
                    row: Word = 2 * np.int64(symbols[to - 1])
                    if symbols[to - 1] == new:
                        gone_left += weight
                else:
                    if at + 2 >= stop:
                        continue
                    row = 2 * np.int64(symbols[at + 2]) + 1
                    if symbols[at + 2] == new:
                        gone_new += weight
                        row = 2 * new
                near[row, _GAIN] += weight
                if near[row, _LATEST] != word + 1:
                    near[row, _LATEST] = word + 1
                    near[row, _WORDS] += 1
                    events[count] = row << 32 | word
                    count += 1
            symbols[to] = new
            to += 1
            at += 2
        words[word, _STOP] = to
    return events, count, gone_left, gone_new


@njit(nogil=True, cache=True)
def _change(table: I64, key: int, change: int) -> tuple[Word, int]:
    """Add to the count of a pair; return the count, and 1 if the pair is new to the table, else 0."""
    slot = hash_table.find(table, key)
    added = 0 if table[slot] == key else 1
    table[slot] = key
    table[slot + 1] += change
    return table[slot + 1], added


@njit(nogil=True, cache=True)
def _enter_pairs(
    events: I64, left: int, right: int, new: int, near: I64, table: I64, heap: I64, size: int, lists: I32, used: int
) -> tuple[int, int, int]:
    """Correct the counts of the pairs that a merge has changed, and put the new ones with their words on the heap.

    Clears `near`. Returns how many pairs are new to the table, the heap's size, and how much of the lists is used."""
    pairs = 0
    for event in events:
        row, word = event >> 32, np.int32(event & 0xFFFFFFFF)
        if near[row, _NEXT] == 0:
            other, gain = row >> 1, near[row, _GAIN]
            if row & 1:
                _change(table, pair_key(right, other), -gain)
                formed = pair_key(new, other)
            else:
                if other != new:
                    _change(table, pair_key(other, left), -gain)
                formed = pair_key(other, new)
            count, added = _change(table, formed, gain)
            pairs += added
            near[row, _NEXT] = -1
            if count > 0:
                near[row, _NEXT] = used + 1
                size = push(heap, size, count, formed, used, used + near[row, _WORDS])
                used += near[row, _WORDS]
        if near[row, _NEXT] > 0:
            lists[near[row, _NEXT] - 1] = word
            near[row, _NEXT] += 1
    for event in events:
        near[event >> 32] = 0
    return pairs, size, used


@njit(nogil=True, cache=True)
def _token_id(slots: I64, arena: U8, starts: I64, tokens: int) -> int:
    """The id of the token whose bytes lie after the last one's in the arena; a new id where it is not known."""
    first, last = starts[tokens], starts[tokens + 1]
    hashed = hash_key(arena, first, last)
    slot = find(slots, arena, hashed, arena, first, last)
    if slots[slot + LENGTH] == 0:
        add(slots, arena, slot, hashed, arena, first, last, first)
        slots[slot + VALUE] = tokens
    return slots[slot + VALUE]


@njit(nogil=True, cache=True)
def _train(symbols: I32, words: I64, alphabet: U8, vocab_size: int, min_frequency: int) -> tuple[I32, I32, I64, U8]:
    """The pairs and what they make, in order of rank; where each token begins in the bytes, and these."""
    # Tokens: their bytes end to end, and a table that finds one by its bytes.
    starts = np.zeros(vocab_size + 2, np.int64)
    arena = np.zeros(16 * vocab_size + SPARE, np.uint8)
    slots = np.zeros(FIELDS << (2 + int(np.ceil(np.log2(vocab_size)))), np.int64)
    tokens = 0
    for byte in alphabet:
        arena[tokens] = byte
        starts[tokens + 1] = tokens + 1
        _token_id(slots, arena, starts, tokens)
        tokens += 1
    table, heap, size, lists, used = _first_pairs(words, symbols, tokens)
    pairs = size
    near = np.zeros((2 * vocab_size, 4), np.int64)
    events = np.empty(1 << 12, np.int64)
    merged = np.empty((vocab_size, 3), np.int32)
    ranks = 0
    while tokens < vocab_size and size > 0:
        count, key, first, end = heap[0, COUNT], heap[0, KEY], heap[0, FIRST], heap[0, END]
        current = table[hash_table.find(table, key) + 1]
        if count != current:
            replace_first(heap, size, current, key, first, end)
            continue
        if count < 1 or count < min_frequency:
            break
        size -= 1
        replace_first(heap, size, heap[size, COUNT], heap[size, KEY], heap[size, FIRST], heap[size, END])
        left, right = (key >> 32) - 1, (key & 0xFFFFFFFF) - 1
        # The new token's bytes go behind the last token's; where it is known already, they are forgotten again.
        stop = starts[tokens]
        for part in (left, right):
            length = starts[part + 1] - starts[part]
            if arena.size < stop + length + SPARE:
                arena = _grown(arena, stop + length + SPARE)
            arena[stop : stop + length] = arena[starts[part] : starts[part + 1]]
            stop += length
        starts[tokens + 1] = stop
        new = _token_id(slots, arena, starts, tokens)
        if new == tokens:
            tokens += 1
        if ranks == merged.shape[0]:
            merged = _grown(merged, ranks + 1)
        merged[ranks, 0], merged[ranks, 1], merged[ranks, 2] = left, right, new
        ranks += 1
        events, found, gone_left, gone_new = _join_in_words(
            words, symbols, lists[first:end], left, right, new, near, events
        )
        most = min(found, 2 * tokens) + 2  # new pairs
        table = with_room(table, pairs + most)
        if heap.shape[0] < size + most:
            heap = _grown(heap, size + most)
        if gone_left:
            pairs += _change(table, pair_key(new, left), -gone_left)[1]
        if gone_new:
            pairs += _change(table, pair_key(right, new), -gone_new)[1]
        added, size, used = _enter_pairs(events[:found], left, right, new, near, table, heap, size, lists, used)
        pairs += added
    return (
        merged[:ranks, :2].copy(),
        merged[:ranks, 2].copy(),
        starts[: tokens + 1].copy(),
        arena[: starts[tokens]].copy(),
    )
