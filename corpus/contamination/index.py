"""The index of benchmark sets: the n-grams by which an item is recognised in a document.

An n-gram is a run of `corpus.kernels.words` words, so case, width, accents and punctuation do not hide an item. It has
13 words (GPT-3, arXiv 2005.14165, appendix C). A text that is mostly CJK characters, each of which is a word here, has
n-grams of 20, which is as long: a Chinese word has about one and a half characters. A text that is shorter is one
n-gram as a whole, down to 8 words (where GPT-3 stops) or 12 characters. Below that it would be found everywhere and is
not looked for, nor is an n-gram of fewer than 24 bytes of words (`a, b, c, d`). An n-gram that more than 10 texts of
one set share is that set's template ("Is the following sentence plausible?") and not an item of it.

All n-grams of an index are found by their head, the hash of their first 8 words, so that
a document is scanned with one look-up per word.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.contamination.benchmarks import BenchmarkText
from corpus.io.buffers import utf8_buffers
from corpus.kernels.hashing import hash_ngram
from corpus.kernels.types import I32, I64, U8, U64
from corpus.kernels.words import Scratch, new_scratch, split_words

NGRAM, NGRAM_CJK = 13, 20
SHORTEST, SHORTEST_CJK = 8, 12
LEAST_BYTES = 24
HEAD = 8  # words; no n-gram is shorter
TEMPLATE = 10  # texts of a set that share an n-gram, above which it says nothing about any of them

ENTRIES = pa.schema([("head", pa.uint64()), ("length", pa.int32()), ("hash", pa.uint64()), ("text", pa.int32())])
TEXTS = pa.schema(
    [
        ("benchmark", pa.string()),
        ("item", pa.int32()),
        ("field", pa.string()),
        ("grams", pa.int32()),
        ("words", pa.int32()),
    ]
)


class Index(NamedTuple):
    """What to look for. `entries` (`ENTRIES`) is sorted by head, an n-gram of a text once; `texts` (`TEXTS`) has
    a row for each text, with its number of distinct n-grams: 0 for a text that is too short or all template."""

    entries: pa.Table
    texts: pa.Table


def build_index(texts: Iterable[BenchmarkText]) -> Index:
    """Index the texts of all sets; the order of `texts` numbers them."""
    rows = list(texts)
    data, offsets = utf8_buffers(pa.array([row.text for row in rows], pa.large_string()))
    scratch = new_scratch(int(np.diff(offsets).max(initial=0)))
    room = int(offsets[-1]) // 2 + len(rows) + 1  # a word and its separator are two bytes or more
    found = np.empty((room, 2), np.uint64), np.empty((room, 2), np.int32)
    words = np.zeros(len(rows), np.int32)
    count = _ngrams(data, offsets, scratch, *found, words)
    sets = np.unique([row.benchmark for row in rows], return_inverse=True)[1] if rows else np.zeros(0, np.int64)
    entries = _distinct(found[0][:count], found[1][:count], sets)
    grams = np.bincount(entries["text"].to_numpy(), minlength=len(rows))
    columns: list[Any] = [
        [row.benchmark for row in rows],
        [row.item for row in rows],
        [row.field for row in rows],
        grams.astype(np.int32),
        words,
    ]
    return Index(entries, pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, TEXTS)], schema=TEXTS))


def _distinct(keys: U64, owners: I32, sets: I64) -> pa.Table:
    """The entries, each n-gram of a text once and templates left out."""
    columns = [keys[:, 0], owners[:, 0], keys[:, 1], owners[:, 1]]
    rows = pa.Table.from_arrays([pa.array(column) for column in columns], schema=ENTRIES)
    rows = rows.group_by(ENTRIES.names, use_threads=False).aggregate([]).select(ENTRIES.names)
    of_set = rows.append_column("set", pa.array(sets[rows["text"].to_numpy()]))
    shared = of_set.group_by(["hash", "length", "set"], use_threads=False).aggregate([("text", "count")])
    kept = of_set.join(shared, ["hash", "length", "set"]).filter(pa.compute.field("text_count") <= TEMPLATE)
    order = [(name, "ascending") for name in ("head", "length", "hash", "text")]
    return kept.select(ENTRIES.names).sort_by(order).cast(ENTRIES)


@njit(nogil=True, cache=True)
def _ngrams(data: U8, offsets: I64, scratch: Scratch, keys: U64, owners: I32, words: I32) -> int:
    """Write (head, hash) to `keys` and (length, text) to `owners` for every n-gram; return how many."""
    total = 0
    for text in range(len(offsets) - 1):
        count = split_words(data, offsets[text], offsets[text + 1], scratch)
        words[text] = count
        cjk = 0
        for i in range(count):
            cjk += scratch.ends[i] - scratch.starts[i] == 3 and data[scratch.starts[i]] >= 0xE3
        mostly = 2 * cjk > count
        length = min(NGRAM_CJK if mostly else NGRAM, count)
        if length < (SHORTEST_CJK if mostly else SHORTEST):
            continue
        for i in range(count - length + 1):
            size = 0
            for j in range(i, i + length):
                size += scratch.ends[j] - scratch.starts[j]
            if size < LEAST_BYTES:
                continue
            keys[total, 0] = hash_ngram(scratch.hashes, i, HEAD)
            keys[total, 1] = hash_ngram(scratch.hashes, i, length)
            owners[total, 0] = length
            owners[total, 1] = text
            total += 1
    return total
