"""Gopher's repetition rules on n-grams: how much of a document its most frequent and its repeated n-grams cover.

Definitions: Rae et al. 2021 (arXiv 2112.11446), appendix A1.1 and table A1, as datatrove's
gopher_repetition_filter.py computes them, over the tokens of the scan, or a Chinese text's words:

- top n-gram, n = 2..4: count of the most frequent n-gram (the first of equals) times its length in characters, over
  the document's. Occurrences may overlap, so the value may pass 1. A space between two tokens counts as one
  character, as the definition's `" ".join` has it, and so does the place between two Chinese words; between two
  ideographs of a text in another language none is counted.
- duplicate n-grams, n = 5..10: walk through the tokens; an n-gram met before adds its characters (without
  spaces) and is jumped over, any other is remembered and the walk goes on by one token.

An n-gram can repeat only if the shorter ones inside it do, so each length looks at the survivors of the last: most
documents end after three or four lengths instead of nine. N-grams are compared by 64-bit hashes of their sequence.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels import MIX_A, mix64, rotate_left

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)
NAMES = (
    "unique_tokens",
    "unigram_entropy",
    *(f"top_{n}_gram" for n in TOP),
    *(f"duplicate_{n}_gram" for n in DUPLICATE),
)
_ROTATION = np.uint64(23)


class Table(NamedTuple):
    """A hash table that is emptied by raising its round: a slot counts only if its stamp is the current round."""

    keys: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int64]
    stamps: npt.NDArray[np.int64]
    round: npt.NDArray[np.int64]  # of length 1


class Work(NamedTuple):
    """Scratch of one document's n-grams: their running hashes, the positions still in play, and their slots."""

    grams: npt.NDArray[np.uint64]
    positions: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]


def new_table(entries: int) -> Table:
    """A table for up to `entries` keys at once, at most half full."""
    size = 1 << max(4, (2 * entries - 1).bit_length())
    return Table(np.empty(size, np.uint64), np.empty(size, np.int64), np.zeros(size, np.int64), np.zeros(1, np.int64))


def new_work(tokens: int) -> Work:
    """Scratch for documents of up to `tokens` tokens."""
    return Work(np.empty(tokens, np.uint64), np.empty(tokens, np.int64), np.empty(tokens, np.int64))


@njit(inline="always")
def slot_of(table, mask, key):  # type: ignore[no-untyped-def]
    """The slot of a key in the table's current round; a new key gets an empty slot with count 0."""
    slot = np.int64(key & mask)
    while table.stamps[slot] == table.round[0]:
        if table.keys[slot] == key:
            return slot
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
    table.stamps[slot] = table.round[0]
    table.keys[slot] = key
    table.counts[slot] = 0
    return slot


@njit(inline="always")
def mask_for(entries):  # type: ignore[no-untyped-def]
    """The mask of a key's first slot in a table of `entries` keys."""
    size = np.uint64(16)
    while size < np.uint64(2 * entries):
        size <<= np.uint64(1)
    return size - np.uint64(1)


@njit(inline="always")
def begin_round(table, entries):  # type: ignore[no-untyped-def]
    """Empty the table; return the mask that keeps it at most half full with `entries` keys."""
    table.round[0] += 1
    return mask_for(entries)


@njit(nogil=True, cache=True)
def count_grams(table, work, alive):  # type: ignore[no-untyped-def]
    """Count `work.grams` at the first `alive` positions; return (highest count, its first position, distinct n-grams).

    With no position repeated the first position of the document stands for the highest count, 1.
    """
    mask = begin_round(table, alive)
    distinct = 0
    for i in range(alive):
        slot = slot_of(table, mask, work.grams[work.positions[i]])
        distinct += table.counts[slot] == 0
        table.counts[slot] += 1
        work.slots[i] = slot
    best, at = 1, 0
    for i in range(alive):
        count = table.counts[work.slots[i]]
        if count > best:
            best, at = count, work.positions[i]
    return best, at, distinct


@njit(nogil=True, cache=True)
def keep_repeated(table, work, alive):  # type: ignore[no-untyped-def]
    """Drop the positions whose n-gram occurs once; return how many are left."""
    left = 0
    for i in range(alive):
        if table.counts[work.slots[i]] > 1:
            work.positions[left] = work.positions[i]
            work.slots[left] = work.slots[i]
            left += 1
    return left


@njit(nogil=True, cache=True)
def grow(work, tokens, n_tokens, n, alive):  # type: ignore[no-untyped-def]
    """Turn n-grams into (n+1)-grams where the next position's n-gram is repeated too; return how many are left."""
    left = 0
    for i in range(alive - 1):
        at = work.positions[i]
        if work.positions[i + 1] == at + 1 and at + n < n_tokens:
            work.grams[at] = mix64(rotate_left(work.grams[at] * MIX_A, _ROTATION) ^ tokens.hashes[at + n])
            work.positions[left] = at
            left += 1
    return left


@njit(nogil=True, cache=True)
def duplicate_characters(table, work, tokens, n, alive):  # type: ignore[no-untyped-def]
    """Characters of the n-grams met before on the walk; `positions` are those of n-grams that occur more than once."""
    for i in range(alive):
        table.counts[work.slots[i]] = 0  # from here on: whether the walk has met it
    characters = 0
    free = 0  # where the walk goes on after a jump
    for i in range(alive):
        at = work.positions[i]
        if at < free:
            continue
        if table.counts[work.slots[i]]:
            characters += tokens.ends[at + n] - tokens.ends[at]
            free = at + n
        else:
            table.counts[work.slots[i]] = 1
    return characters


@njit(nogil=True, cache=True)
def measure_repetition(tokens, totals, stop_words, table, work, row, found):  # type: ignore[no-untyped-def]
    """Write the values of `NAMES` to `row`, and to `found` how many of each list of stop words occur.

    `stop_words` is uint64[lists, longest] of token hashes, 0 where a list is shorter.
    """
    n_tokens = totals.tokens
    row[:] = 0.0
    for i in range(n_tokens):
        work.positions[i] = i
        work.grams[i] = tokens.hashes[i]
    _, _, distinct = count_grams(table, work, n_tokens)
    if n_tokens:
        row[0] = distinct / n_tokens
        row[1] = _entropy(table, work, n_tokens)
    _find(table, n_tokens, stop_words, found)
    alive = keep_repeated(table, work, n_tokens)
    column = 2
    for n in range(2, DUPLICATE[-1] + 1):
        if n_tokens < n:
            return
        alive = grow(work, tokens, n_tokens, n - 1, alive)
        if alive == 0 and n > 4:
            return
        best, at, _ = count_grams(table, work, alive)
        alive = keep_repeated(table, work, alive)
        if n <= 4:
            length = tokens.ends[at + n] - tokens.ends[at] + tokens.gaps[at + n - 1] - tokens.gaps[at]
            row[column] = best * length / totals.characters
            column += 1
        elif n in DUPLICATE:
            row[column] = duplicate_characters(table, work, tokens, n, alive) / totals.characters
            column += 1


@njit(nogil=True, cache=True)
def _entropy(table, work, n_tokens):  # type: ignore[no-untyped-def]
    """Shannon entropy of the tokens in nats: the sum over tokens, each a share 1/n, of log n - log count."""
    total = 0.0
    for i in range(n_tokens):
        count = table.counts[work.slots[i]]
        if count > 1:
            total += np.log(count)
    return np.log(n_tokens) - total / n_tokens


@njit(nogil=True, cache=True)
def _find(table, n_tokens, stop_words, found):  # type: ignore[no-untyped-def]
    """How many distinct stop words of each list are among the keys of the current round."""
    mask = mask_for(n_tokens)
    for index in range(stop_words.shape[0]):
        found[index] = 0
        for word in stop_words[index]:
            if word == np.uint64(0):
                continue
            slot = np.int64(word & mask)
            while table.stamps[slot] == table.round[0]:
                if table.keys[slot] == word:
                    found[index] += 1
                    break
                slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
