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
Making the n-grams and counting them are loops of their own, neither with a branch that text decides, so that the
processor has many look-ups under way at once.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels import MIX_A, kernel, rotate_left

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)
NAMES = (
    "unique_tokens",
    "unigram_entropy",
    *(f"top_{n}_gram" for n in TOP),
    *(f"duplicate_{n}_gram" for n in DUPLICATE),
)
_ROTATION = np.uint64(23)
_LOGARITHMS = np.array([math.log(max(count, 1)) for count in range(1 << 12)])
SLOT = np.dtype([("key", "<u8"), ("stamp", "<i4"), ("count", "<i4")])  # in one cache line


class Table(NamedTuple):
    """A hash table that is emptied by raising its round: a slot counts only if its stamp is the current round."""

    slots: npt.NDArray[np.void]  # SLOT
    round: npt.NDArray[np.int32]  # of length 1


class Work(NamedTuple):
    """Scratch of one document's n-grams still in play: their hashes, their positions, and their slots."""

    grams: npt.NDArray[np.uint64]
    positions: npt.NDArray[np.int64]
    slots: npt.NDArray[np.uint64]


def new_table(entries: int) -> Table:
    """A table for up to `entries` keys at once, at most half full."""
    return Table(np.zeros(1 << max(4, (2 * entries - 1).bit_length()), SLOT), np.zeros(1, np.int32))


def new_work(tokens: int) -> Work:
    """Scratch for documents of up to `tokens` tokens."""
    return Work(np.empty(tokens, np.uint64), np.empty(tokens, np.int64), np.empty(tokens, np.uint64))


@njit(inline="always")
def insert(table, mask, key):  # type: ignore[no-untyped-def]
    """Count a key in the table's current round; its slot.

    Whether a key is new cannot be foretold, so a new one takes the same path: the only branch is for two keys that want
    one slot.
    """
    slots, now = table.slots, table.round[0]
    slot = key & mask
    while (slots[slot].stamp == now) & (slots[slot].key != key):
        slot = (slot + np.uint64(1)) & mask
    slots[slot].count = 1 + (slots[slot].count if slots[slot].stamp == now else 0)
    slots[slot].key = key
    slots[slot].stamp = now
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


@kernel
def count_tokens(table, work, tokens, n_tokens):  # type: ignore[no-untyped-def]
    """Count the tokens and keep the positions of those that occur again: (how many, distinct tokens, entropy in nats).

    The entropy is the sum over tokens, each a share 1/n, of log n - log count.
    """
    mask = begin_round(table, n_tokens)
    distinct = 0
    for i in range(n_tokens):
        slot = insert(table, mask, tokens.hashes[i])
        distinct += table.slots[slot].count == 1
        work.slots[i] = slot
    left = 0
    total = 0.0
    for i in range(n_tokens):
        slot = work.slots[i]
        count = table.slots[slot].count
        work.positions[left] = i
        work.grams[left] = tokens.hashes[i]
        left += count > 1
        total += _LOGARITHMS[count] if count < len(_LOGARITHMS) else np.log(count)
    return left, distinct, total


@kernel
def grow(work, tokens, n, alive):  # type: ignore[no-untyped-def]
    """Turn the (n-1)-grams in play into n-grams, where the next is in play too; how many are left."""
    left = 0
    for i in range(alive - 1):
        at = work.positions[i]
        work.grams[left] = rotate_left(work.grams[i] * MIX_A, _ROTATION) ^ tokens.hashes[at + n - 1]
        work.positions[left] = at
        left += work.positions[i + 1] == at + 1
    return left


@kernel
def count_grams(table, work, alive):  # type: ignore[no-untyped-def]
    """Count the n-grams in play."""
    mask = begin_round(table, alive)
    for i in range(alive):
        work.slots[i] = insert(table, mask, work.grams[i])


@kernel
def keep_repeated(table, work, alive):  # type: ignore[no-untyped-def]
    """Drop the n-grams that occur once; (how many are left, the highest count, its first position).

    With none repeated the first position of the document stands for the highest count, 1.
    """
    left = 0
    best, first = 1, 0
    for i in range(alive):
        slot = work.slots[i]
        count = table.slots[slot].count
        at = work.positions[i]
        if count > best:
            best, first = count, at
        work.positions[left] = at
        work.grams[left] = work.grams[i]
        work.slots[left] = slot
        left += count > 1
    return left, best, first


@kernel
def duplicate_characters(table, work, tokens, n, alive):  # type: ignore[no-untyped-def]
    """Characters of the n-grams met before on the walk; `positions` are those of n-grams that occur more than once."""
    slots = table.slots
    for i in range(alive):
        slots[work.slots[i]].count = 0  # from here on: whether the walk has met it
    characters = 0
    free = 0  # where the walk goes on after a jump
    for i in range(alive):
        at = work.positions[i]
        if at < free:
            continue
        if slots[work.slots[i]].count:
            characters += tokens.ends[at + n] - tokens.ends[at]
            free = at + n
        else:
            slots[work.slots[i]].count = 1
    return characters


@kernel
def measure_repetition(tokens, totals, stop_words, table, work, row, found):  # type: ignore[no-untyped-def]
    """Write the values of `NAMES` to `row`, and to `found` how many of each list of stop words occur.

    `stop_words` is uint64[lists, longest] of token hashes, 0 where a list is shorter.
    """
    n_tokens = totals.tokens
    row[:] = 0.0
    alive, distinct, logarithms = count_tokens(table, work, tokens, n_tokens)
    if n_tokens:
        row[0] = distinct / n_tokens
        row[1] = np.log(n_tokens) - logarithms / n_tokens
    _find(table, n_tokens, stop_words, found)
    column = 2
    for n in range(2, DUPLICATE[-1] + 1):
        if n_tokens < n:
            return
        alive = grow(work, tokens, n, alive)
        if alive == 0 and n > 4:
            return
        count_grams(table, work, alive)
        alive, best, at = keep_repeated(table, work, alive)
        if n <= 4:
            length = tokens.ends[at + n] - tokens.ends[at] + tokens.gaps[at + n - 1] - tokens.gaps[at]
            row[column] = best * length / totals.characters
            column += 1
        elif n in DUPLICATE:
            row[column] = duplicate_characters(table, work, tokens, n, alive) / totals.characters
            column += 1


@kernel
def _find(table, n_tokens, stop_words, found):  # type: ignore[no-untyped-def]
    """How many distinct stop words of each list are among the keys of the current round."""
    slots, now = table.slots, table.round[0]
    mask = mask_for(n_tokens)
    for index in range(stop_words.shape[0]):
        found[index] = 0
        for column in range(stop_words.shape[1]):
            word = stop_words[index, column]
            if word == np.uint64(0):
                continue
            slot = word & mask
            while slots[slot].stamp == now:
                if slots[slot].key == word:
                    found[index] += 1
                    break
                slot = (slot + np.uint64(1)) & mask
