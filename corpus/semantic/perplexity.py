"""Perplexity: how surprising a text is to a small language model of clean text, and CCNet's head, middle and tail.

A page whose words follow each other as in the model's training text has a low perplexity; lists, keyword spam and
broken text a high one. CCNet (Wenzek et al. 2020, arXiv 1911.00359) trains a 5-gram model on Wikipedia for each
language and cuts the pages of a language in three by the 30th and 60th percentiles of their perplexity. The model here
is of the same family (`corpus.semantic.ngrams`), trained by the project on text that the user names. Its folder holds
the quantiles of a reference sample too, so that a document's rank among such documents is known from itself alone.

A text is one sequence of words, with one beginning; its perplexity is 10 ** (-log10 P / words).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.errors import UsageError
from corpus.io.buffers import utf8_buffers
from corpus.io.checksum import file_checksum
from corpus.kernels.types import F64, I64, U8, U64, Records
from corpus.kernels.words import Scratch, new_scratch, split_words
from corpus.semantic import artifact
from corpus.semantic.ngrams import BEGIN, SLOT, Model, extend, find, train

KIND = "perplexity"
FILE = "model.npy"
HEAD, MIDDLE = 0.3, 0.6  # ranks at which CCNet cuts
QUANTILES = 101
HELD_OUT = 20  # every so many training texts is kept for the quantiles, where no reference is named
_LONGEST = 8  # words of an n-gram, at most


class PerplexityModel:
    """A loaded model; the table is mapped, so that workers of one machine share it."""

    def __init__(self, folder: str | Path) -> None:
        card = artifact.load_card(folder, KIND)
        slots = np.load(Path(folder) / card["file"], mmap_mode="r")
        if slots.dtype != SLOT:
            raise UsageError(f"{folder}: {card['file']} is not a table of n-grams; train it again")
        self.model = Model(slots, card["parameters"]["order"], card["unknown"])
        self.quantiles = np.array(card["quantiles"])

    def perplexity(self, texts: pa.Array | pa.ChunkedArray) -> F64:
        """The perplexity of each text of a (large_)string column; NaN where it has no word."""
        return perplexities(self.model, texts)

    def rank(self, perplexity: F64) -> F64:
        """The share of reference documents with a lower perplexity, 0 to 1."""
        ranks = np.linspace(0, 1, len(self.quantiles))
        found: F64 = np.interp(np.log10(perplexity), self.quantiles, ranks)
        return found


def bucket(rank: float) -> str:
    """CCNet's name for a rank."""
    return "head" if rank < HEAD else "middle" if rank < MIDDLE else "tail"


def perplexities(model: Model, texts: pa.Array | pa.ChunkedArray) -> F64:
    """The perplexity of each text; NaN where it has no word."""
    data, offsets = utf8_buffers(texts)
    out = np.empty(len(offsets) - 1)
    scratch = new_scratch(int(np.diff(offsets).max(initial=0)))
    _score(data, offsets, scratch, model.slots, model.order, model.unknown, out)
    return out


@njit(nogil=True, cache=True)
def _score(data: U8, offsets: I64, scratch: Scratch, slots: Records, order: int, unknown: float, out: F64) -> None:
    grams = np.zeros(_LONGEST + 1, np.uint64)  # grams[k]: the last k words, for k up to `matched`; no word: 0
    weights = np.zeros(_LONGEST + 1)  # weights[k]: of that context
    tail = np.zeros(_LONGEST + 2)  # tail[k]: the weights of the contexts of k words and more
    for row in range(len(offsets) - 1):
        words = split_words(data, offsets[row], offsets[row + 1], scratch)
        grams[1] = extend(np.uint64(0), BEGIN)
        weights[1] = slots[find(slots, grams[1])].backoff
        matched = 1
        total = 0.0
        for i in range(words):
            word = scratch.hashes[i]
            tail[matched + 1] = 0.0
            for k in range(matched, -1, -1):
                tail[k] = tail[k + 1] + (weights[k] if k else 0.0)
            before = grams[0]
            probability = unknown
            length = 0  # of the longest n-gram that ends with this word
            while length <= matched:
                key = extend(before, word)
                slot = find(slots, key)
                if slot < 0:
                    break
                length += 1
                probability = np.float64(slots[slot].probability)
                before = grams[length]
                grams[length] = key
                weights[length] = slots[slot].backoff
            total += probability + tail[length]
            matched = min(length, order - 1)
        out[row] = 10.0 ** (-total / words) if words else np.nan


def train_model(
    folder: str | Path,
    name: str,
    texts: pa.ChunkedArray,
    sources: Sequence[Mapping[str, str]],
    reference: pa.ChunkedArray | None = None,
    order: int = 5,
) -> dict[str, Any]:
    """Train on clean texts, write model, card and README to `folder`, and return the card.

    The quantiles are of the `reference` texts' perplexities, which should be like the pages that will be judged;
    without them every 20th text is kept from training for it. Raises UsageError where there is too little text.
    """
    if not 2 <= order <= _LONGEST:
        raise UsageError(f"{name}: order {order}; an n-gram model here has 2 to {_LONGEST} words")
    rows = np.arange(len(texts))
    held = rows % HELD_OUT == 0 if reference is None else np.zeros(len(texts), np.bool_)
    learned = texts.filter(pa.array(~held))
    judged = texts.filter(pa.array(held)) if reference is None else reference
    words, starts = hashed_words(learned)
    if len(texts) < HELD_OUT or len(words) - len(learned) < 100:
        raise UsageError(f"{name}: too little text to learn from; give at least {HELD_OUT} documents of prose")
    model = train(words, starts, order)
    found = perplexities(model, judged)
    found = np.log10(found[np.isfinite(found)])
    if not len(found):
        raise UsageError(f"{name}: the reference has no word")
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    np.save(where / FILE, model.slots)
    card = {
        "kind": KIND,
        "name": name,
        "summary": f"A modified Kneser-Ney {order}-gram model of hashed words and CJK characters.",
        "file": FILE,
        "xxh3": file_checksum(str(where / FILE)),
        "unknown": model.unknown,
        "quantiles": [round(float(value), 6) for value in np.quantile(found, np.linspace(0, 1, QUANTILES))],
        "parameters": {"order": order, "n-grams": int((model.slots["key"] != 0).sum())},
        "data": [
            {
                "label": "clean",
                "documents": len(learned),
                "bytes": int(learned.nbytes),
                "files": [dict(source) for source in sources],
            }
        ],
        "held_out": {
            "reference": "every 20th document" if reference is None else "given",
            "documents": len(found),
            "perplexity_30": round(float(10 ** np.quantile(found, HEAD)), 3),
            "perplexity_50": round(float(10 ** np.quantile(found, 0.5)), 3),
            "perplexity_60": round(float(10 ** np.quantile(found, MIDDLE)), 3),
        },
    }
    artifact.save_card(where, card)
    return card


def hashed_words(texts: pa.Array | pa.ChunkedArray) -> tuple[U64, I64]:
    """The hashes of all words, `BEGIN` before each text, and where each text begins (one entry more than texts)."""
    data, offsets = utf8_buffers(texts)
    scratch = new_scratch(int(np.diff(offsets).max(initial=0)))
    words = np.empty(int(offsets[-1]) + len(offsets), np.uint64)
    starts = np.zeros(len(offsets), np.int64)
    _hash_words(data, offsets, scratch, words, starts)
    return words[: starts[-1]], starts


@njit(nogil=True, cache=True)
def _hash_words(data: U8, offsets: I64, scratch: Scratch, words: U64, starts: I64) -> None:
    at = 0
    for row in range(len(offsets) - 1):
        words[at] = BEGIN
        at += 1
        for i in range(split_words(data, offsets[row], offsets[row + 1], scratch)):
            words[at] = scratch.hashes[i]
            at += 1
        starts[row + 1] = at
