"""Gopher's repetition rules on n-grams: how much of a document its most frequent and its repeated n-grams cover.

Definitions: Rae et al. 2021 (arXiv 2112.11446), appendix A1.1 and table A1, as datatrove's
gopher_repetition_filter.py computes them, over the tokens, which in Chinese are words:

- top n-gram, n = 2..4: count of the most frequent n-gram (the first of equals) times its length in characters, over
  the document's. Occurrences may overlap, so the value may pass 1. A space between two tokens counts as one
  character, as the definition's `" ".join` has it, and so does what lies between two Chinese words. Between two
  ideographs of a text in another language none is counted.
- duplicate n-grams, n = 5..10: walk through the tokens; an n-gram met before adds its characters (without
  spaces) and is jumped over, any other is remembered and the walk goes on by one token.

An n-gram is known by the position where it first occurs. Only *repeats*, those that occur for the second time or
later, are carried from one length to the next. The n-gram at i can be a repeat only if the (n-1)-grams at i and at i +
1 are. It then first occurs where one of these does, if the missing token is there too: a comparison, which is all that
long repeated passages need. Only of the others, whose parts both occurred earlier, but apart, are pairs of first
positions looked up in a hash table. Tokens are compared by their 64-bit hashes; from there on all is exact.

The loops that compare and look up have no branch that text decides, so that the processor has many look-ups under way
at once.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from corpus.kernels.hashing import GOLDEN_RATIO
from corpus.kernels.jit import kernel
from corpus.kernels.types import F64, I64, U8, U32, U64, Word
from corpus.linguistic.scan import Totals
from corpus.linguistic.tokens import Tokens

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)
NAMES = (
    "unique_tokens",
    "unigram_entropy",
    *(f"top_{n}_gram" for n in TOP),
    *(f"duplicate_{n}_gram" for n in DUPLICATE),
)
_U32, _U64 = np.uint32, np.uint64
_ONE = _U64(1)
_LAST = np.iinfo(np.uint32).max
_LOGARITHMS = np.array([math.log(max(count, 1)) for count in range(1 << 12)])


class Table(NamedTuple):
    """A hash table of positions: which of a list of keys was the first of its value.

    A slot holds a position among the keys plus the round's base. To empty the table the base is raised past all that it
    holds, so a document does not pay for the size of a table that serves the largest one. Only where the bases would
    pass the end of their type are the slots cleared and the bases begun anew.
    """

    slots: U32
    bases: U32  # of this round, and of the next


class Work(NamedTuple):
    """Scratch of one document's n-grams. Positions are unsigned: an index that cannot be negative is not checked."""

    names: U32  # names[i + 1] is where token i first occurs; names[0] is no token's
    firsts: U32  # firsts[i] is where the n-gram at i first occurs
    repeats: U32  # ascending: where firsts[i] < i
    keys: U64  # of the n-grams to look up
    positions: U32  # of the same
    counts: U32  # of the n-gram that first occurs at i
    jumped: U8  # the last n whose walk jumped over the n-gram at i, and did not meet it later


def new_table(entries: int) -> Table:
    """A table for up to `entries` keys at once, at most half full."""
    return Table(np.zeros(1 << max(4, (2 * entries - 1).bit_length()), np.uint32), np.ones(2, np.uint32))


def new_work(tokens: int) -> Work:
    """Scratch for documents of up to `tokens` tokens."""
    size = tokens + DUPLICATE[-1] + 1
    names, firsts, repeats, positions, counts = (np.zeros(size, np.uint32) for _ in range(5))
    names[0] = np.iinfo(np.uint32).max
    return Work(names, firsts, repeats, np.empty(size, np.uint64), positions, counts, np.empty(size, np.uint8))


@njit(inline="always")
def insert(table: Table, mask: Word, keys: U64, at: Word) -> Word:
    """The position of the first of `keys` that equals `keys[at]`: `at`, if the key is new. Positions must ascend.

    Whether a key is new cannot be foretold, so a new one takes the same path: the only branch is for two keys that want
    one slot.
    """
    slots, base = table.slots, table.bases[0]
    key = keys[at]
    slot = key & mask
    while True:
        held = slots[slot]
        new = held < base
        first = _U32(at) if new else _U32(held - base)
        if keys[first] == key:
            break
        slot = (slot + _ONE) & mask
    slots[slot] = first + base
    return first


@njit(inline="always")
def mask_for(entries: int) -> Word:
    """The mask of a key's first slot in a table of `entries` keys."""
    size = np.uint64(16)
    while size < np.uint64(2 * entries):
        size <<= np.uint64(1)
    return size - np.uint64(1)


@njit(inline="always")
def begin_round(table: Table, entries: int) -> Word:
    """Empty the table; return the mask that keeps it at most half full with `entries` keys."""
    if table.bases[1] > _LAST - entries:
        table.slots[:] = 0
        table.bases[1] = 1
    table.bases[0] = table.bases[1]
    table.bases[1] += _U32(entries)
    return mask_for(entries)


@kernel
def count_tokens(table: Table, work: Work, tokens: Tokens, n_tokens: int) -> tuple[Word, float]:
    """Find the repeats among the tokens: (how many, the entropy's sum over tokens of the logarithm of their count)."""
    names, firsts, repeats, counts = work.names, work.firsts, work.repeats, work.counts
    mask = begin_round(table, n_tokens)
    counts[:n_tokens] = 0
    left = _U64(0)
    for i in range(_U64(n_tokens)):
        first = insert(table, mask, tokens.hashes, i)
        names[i + _ONE] = first
        firsts[i] = first
        counts[first] += _U32(1)
        repeats[left] = i
        left += _U64(first != _U32(i))
    firsts[n_tokens] = n_tokens  # no n-gram begins here, which is as good as one that occurs once
    return np.int64(left), _sum_of_logarithms(counts, n_tokens)


@kernel
def _sum_of_logarithms(counts: U32, size: int) -> float:
    """The sum of count * log(count), as four sums, of which none waits for the others."""
    a = b = c = d = 0.0
    whole = size & ~3
    for i in range(0, whole, 4):
        a += _times_logarithm(counts[i])
        b += _times_logarithm(counts[i + 1])
        c += _times_logarithm(counts[i + 2])
        d += _times_logarithm(counts[i + 3])
    for i in range(whole, size):
        a += _times_logarithm(counts[i])
    return (a + b) + (c + d)


@njit(inline="always")
def _times_logarithm(count: Word) -> float:
    return count * (_LOGARITHMS[count] if count < len(_LOGARITHMS) else np.log(count))


@kernel
def lengthen(table: Table, work: Work, n: int, left: int) -> None:
    """Go on from the repeats among the (n-1)-grams to those among the n-grams: set `firsts` of each.

    An n-gram at `at` whose shorter one at `at + 1` is no repeat occurs here first: `at + 1` names itself.
    """
    names, firsts, repeats = work.names, work.firsts, work.repeats
    pending = _U64(0)
    for i in range(left):
        at = repeats[i]
        first, next_first = firsts[at], firsts[at + _ONE]
        here = _U64(next_first) == at + _ONE
        begins = names[first + _U64(n)] == names[at + _U64(n)]  # the n-gram is also where its first tokens first occur
        ends = names[next_first] == names[at + _ONE]  # or where its last do
        known = first if begins else _U32(next_first - _U32(1))
        firsts[at] = at if here else known
        key = (_U64(first) << _U64(32) | _U64(next_first)) * GOLDEN_RATIO  # reversible: no two pairs meet
        work.keys[pending] = key ^ key >> _U64(32)
        work.positions[pending] = at
        pending += _U64(not (here | begins | ends))
    mask = begin_round(table, pending)
    for i in range(pending):
        firsts[work.positions[i]] = work.positions[insert(table, mask, work.keys, i)]


@kernel
def keep(work: Work, left: int) -> Word:
    """Keep of the repeats those that lengthened still are; how many."""
    firsts, repeats = work.firsts, work.repeats
    still = _U64(0)
    for i in range(left):
        at = repeats[i]
        repeats[still] = at
        still += _U64(firsts[at] != at)
    return np.int64(still)


@kernel
def keep_and_count(work: Work, n_tokens: int, left: int) -> tuple[Word, Word, Word]:
    """`keep`; also the highest count of an n-gram, and where it first occurs: of equal ones the first.

    If none is repeated, 1 and 0.
    """
    firsts, repeats, counts = work.firsts, work.repeats, work.counts
    counts[:n_tokens] = 0
    best, where = _U32(0), _U32(0)
    still = _U64(0)
    for i in range(left):
        at = repeats[i]
        first = firsts[at]
        repeats[still] = at
        repeated = first != at
        still += _U64(repeated)
        count = _U32(counts[first] + _U32(repeated))
        counts[first] = count
        if count > best or (count == best and first < where):
            best, where = count, first
    return np.int64(still), np.int64(best + _U32(1)), np.int64(where)


@kernel
def duplicate_characters(work: Work, tokens: Tokens, n: int, left: int) -> int:
    """Characters of the n-grams met before on the walk."""
    firsts, jumped = work.firsts, work.jumped
    characters = 0
    free = _U64(0)  # where the walk goes on after a jump
    for i in range(left):
        at = _U64(work.repeats[i])
        if at < free:
            continue
        first = firsts[at]
        if jumped[first] == n:
            jumped[first] = 0
        else:
            free = at + _U64(n)
            characters += tokens.ends[free] - tokens.ends[at]
            for k in range(at + _ONE, free):
                jumped[k] = n
    return characters


@kernel
def measure_repetition(
    tokens: Tokens, n_tokens: int, totals: Totals, stop_words: U64, table: Table, work: Work, row: F64, found: I64
) -> None:
    """Write the values of `NAMES` to `row`, and to `found` how many of each list of stop words occur.

    `stop_words` is uint64[lists, longest] of token hashes, 0 where a list is shorter.
    """
    row[:] = 0.0
    left, logarithms = count_tokens(table, work, tokens, n_tokens)
    if n_tokens:
        row[0] = (n_tokens - left) / n_tokens
        row[1] = np.log(n_tokens) - logarithms / n_tokens
    _find(table, tokens, n_tokens, stop_words, found)
    work.jumped[:n_tokens] = 0
    for n in range(2, DUPLICATE[-1] + 1):
        if n_tokens < n:
            return
        lengthen(table, work, n, left)
        if n <= TOP[-1]:
            left, best, at = keep_and_count(work, n_tokens, left)
            length = tokens.ends[at + n] - tokens.ends[at] + tokens.gaps[at + n - 1] - tokens.gaps[at]
            row[n] = best * length / totals.characters
            continue
        left = keep(work, left)
        if left == 0:
            return
        row[n] = duplicate_characters(work, tokens, n, left) / totals.characters


@kernel
def _find(table: Table, tokens: Tokens, n_tokens: int, stop_words: U64, found: I64) -> None:
    """How many distinct stop words of each list are among the tokens, the keys of the table's current round."""
    slots, base = table.slots, table.bases[0]
    mask = mask_for(n_tokens)
    for index in range(stop_words.shape[0]):
        found[index] = 0
        for column in range(stop_words.shape[1]):
            word = stop_words[index, column]
            if word == np.uint64(0):
                continue
            slot = word & mask
            while slots[slot] >= base:
                if tokens.hashes[slots[slot] - base] == word:
                    found[index] += 1
                    break
                slot = (slot + np.uint64(1)) & mask
