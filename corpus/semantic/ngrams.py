"""Training of an n-gram language model: interpolated modified Kneser-Ney over hashed words and CJK characters.

The model of Chen and Goodman (1999) as KenLM estimates it (Heafield et al. 2013), which is what CCNet judges pages
with. Words are those of `corpus.kernels.words`, each known by its 64-bit hash. An n-gram is known by the hash of its
words' hashes, so that counting is sorting arrays of integers, whole columns at a time:

- The highest order has true counts. A lower one counts the different words that an n-gram is seen to follow. At the
beginning of a text nothing can precede it, and its true count stands.
- Each count gives up a discount, one of three by whether it is 1, 2 or more, that is estimated from how many n-grams
  occur once to four times. The mass goes to the next lower order, and from single words to every word alike, so that
  unknown words have a probability too.
- N-grams of three and more words that occur once are left out, as CCNet's models do. What they had goes to the lower
  order, so that probabilities still sum to one.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from corpus.kernels.bits import rotate_left
from corpus.kernels.hashing import GOLDEN_RATIO, fmix64
from corpus.kernels.types import F32, F64, I64, U64, Bools, Records, Word

Hashes = U64
Floats = F64
BEGIN = np.uint64(0x9AE16A3B2F90404F)  # stands before the first word of a text
_ROTATION = np.uint64(29)
_FALLBACK = (0.5, 1.0, 1.5)  # discounts where a text is too small to estimate them, KenLM's --discount_fallback


SLOT = np.dtype([("key", "<u8"), ("probability", "<f4"), ("backoff", "<f4")])


class Model(NamedTuple):
    """The n-grams of all orders in one open-addressing table, a power of two long and at most two thirds full.

    A slot (SLOT, 16 bytes, so that a look-up touches one cache line) has key 0 if it is empty. Else it has log10 of an
    n-gram's probability and of its weight as a context.
    """

    slots: Records
    order: int
    unknown: float  # log10 of the probability of a word never seen


@njit(inline="always")
def extend(gram: Word, word: Word) -> Word:
    """The key of an n-gram and one more word; the key of no word at all is 0."""
    return fmix64(rotate_left(gram * GOLDEN_RATIO, _ROTATION) ^ word) | np.uint64(1)


@njit(nogil=True, cache=True)
def _gram_keys(words: U64, starts: I64, longest: int, keys: U64) -> None:
    """keys[n - 1, i]: the key of the n words that end at i; 0 where the text has fewer."""
    for text in range(len(starts) - 1):
        for i in range(starts[text], starts[text + 1]):
            for n in range(1, min(longest, i - starts[text] + 1) + 1):
                key = np.uint64(0)
                for j in range(i - n + 1, i + 1):
                    key = extend(key, words[j])
                keys[n - 1, i] = key


class _Order(NamedTuple):
    """The distinct n-grams of one order, sorted by key."""

    keys: Hashes
    at: I64  # where one occurrence ends
    raw: I64  # how often it occurs
    counts: I64  # what is discounted: true or continuation count
    kept: Bools


def train(words: Hashes, starts: I64, order: int = 5, prune: int = 1) -> Model:
    """Estimate a model from texts: `words` their words' hashes with `BEGIN` first in each, `starts` where each begins.

    `starts` has one entry more than there are texts. N-grams of three words and more that occur at most `prune` times
    are left out. Raises ValueError where there is no word.
    """
    if len(words) < len(starts):
        raise ValueError("there is no word to learn from")
    keys = np.zeros((order, len(words)), np.uint64)
    _gram_keys(words, starts, order, keys)
    orders = _count(keys, starts, order, prune)
    begin = _lookup(orders[0].keys, keys[0, starts[:1]])[0]
    vocabulary = len(orders[0].keys)  # BEGIN, which is never predicted, makes room for the unknown word
    lower = np.full(len(orders[0].keys), 1.0 / vocabulary)
    probabilities: list[Floats] = []
    backoffs: list[Floats] = []
    unknown = 0.0
    for n, grams in enumerate(orders, 1):
        discounts = _discounts(grams.counts[grams.counts > 0])
        taken = np.where(grams.kept, np.minimum(discounts[np.minimum(grams.counts, 3)], grams.counts), grams.counts)
        context = np.zeros(len(grams.keys), np.int64)
        contexts = 1
        if n > 1:
            context = _lookup(orders[n - 2].keys, keys[n - 2, grams.at - 1])
            contexts = len(orders[n - 2].keys)
        counted = grams.counts.astype(np.float64)
        if n == 1:
            counted[begin] = taken[begin] = 0.0
        total = np.bincount(context, counted, contexts)
        backoff = np.divide(np.bincount(context, taken, contexts), total, out=np.ones(contexts), where=total > 0)
        if n == 1:
            unknown = float(backoff[0] / vocabulary)
        else:
            backoffs.append(backoff)
            lower = probabilities[-1][_lookup(orders[n - 2].keys, keys[n - 2, grams.at])]
        share = np.divide(counted - taken, total[context], out=np.zeros(len(counted)), where=total[context] > 0)
        probabilities.append(share + backoff[context] * lower)
    probabilities[0][begin] = 1.0
    backoffs.append(np.ones(len(orders[-1].keys)))
    return _table(orders, probabilities, backoffs, order, unknown)


def _count(keys: U64, starts: I64, order: int, prune: int) -> list[_Order]:
    first = np.zeros(keys.shape[1], np.bool_)
    first[starts[:-1]] = True
    found: list[_Order] = []
    for n in range(order, 0, -1):
        here = np.flatnonzero(keys[n - 1])
        distinct, index, raw = np.unique(keys[n - 1, here], return_index=True, return_counts=True)
        at = here[index]
        counts = raw
        if found:
            longer = found[-1]
            follows = np.bincount(_lookup(distinct, keys[n - 1, longer.at]), minlength=len(distinct))
            counts = np.where(first[at - n + 1], raw, follows)
        found.append(_Order(distinct, at, raw, counts, raw > prune if n > 2 else np.ones(len(raw), np.bool_)))
    return found[::-1]


def _lookup(sorted_keys: Hashes, wanted: Hashes) -> I64:
    return np.searchsorted(sorted_keys, wanted)


def _discounts(counts: I64) -> Floats:
    """[0, D1, D2, D3+]: Chen and Goodman's estimates, or the fallback where one is not within what it discounts."""
    n1, n2, n3, n4 = (int((counts == value).sum()) for value in (1, 2, 3, 4))
    if n1 and n2 and n3:
        y = n1 / (n1 + 2 * n2)
        estimates = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 < value < count for count, value in enumerate(estimates, 1)):
            return np.array([0.0, *estimates])
    return np.array([0.0, *_FALLBACK])


def _table(
    orders: list[_Order], probabilities: list[Floats], backoffs: list[Floats], order: int, unknown: float
) -> Model:
    kept = [grams.kept for grams in orders]
    keys = np.concatenate([grams.keys[keep] for grams, keep in zip(orders, kept)])
    values = np.stack(
        [np.concatenate([part[keep] for part, keep in zip(parts, kept)]) for parts in (probabilities, backoffs)], axis=1
    )
    slots = np.zeros(1 << max(4, (len(keys) * 3 // 2).bit_length()), SLOT)
    _insert(keys, np.log10(values).astype(np.float32), slots)
    return Model(slots, order, float(np.log10(unknown)))


@njit(nogil=True, cache=True)
def _insert(keys: U64, values: F32, slots: Records) -> None:
    mask = np.uint64(len(slots) - 1)
    for i in range(len(keys)):
        slot = keys[i] & mask
        while slots[slot].key != np.uint64(0):
            slot = (slot + np.uint64(1)) & mask
        slots[slot].key = keys[i]
        slots[slot].probability = values[i, 0]
        slots[slot].backoff = values[i, 1]


@njit(inline="always")
def find(slots: Records, key: Word) -> Word:
    """The slot of an n-gram, or -1 where the model does not have it."""
    mask = np.uint64(len(slots) - 1)
    slot = key & mask
    while slots[slot].key != np.uint64(0):
        if slots[slot].key == key:
            return np.int64(slot)
        slot = (slot + np.uint64(1)) & mask
    return np.int64(-1)
