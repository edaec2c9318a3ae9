"""Gopher's quality rules on words: their number and length, symbols, letters and stop words.

Definitions: Rae et al. 2021 (arXiv 2112.11446), appendix A1.1, as datatrove's gopher_quality_filter.py computes them,
over a document's tokens or words. A word here is a token that holds something other than punctuation. Trap:
datatrove's `max_non_alpha_words_ratio` is the least share of tokens *with* a letter, which is what is measured here.
Stop words are matched as written, in lower case, against whole tokens.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from corpus.kernels.jit import kernel
from corpus.kernels.types import F64, I64, U64
from corpus.linguistic.characters import ALPHABETIC, CONTENT
from corpus.linguistic.scan import Totals
from corpus.linguistic.tokens import Tokens

# Gopher's, and those of FineWeb-2's configs/cmn_Hani.yml; the rule wants two of either.
STOP_WORDS = {
    "en": ("the", "be", "to", "of", "and", "that", "have", "with"),
    "zh": tuple("的年在月是和日了於·為有被人中为他與後也而由"),
}
NAMES = (
    "words",
    "mean_word_length",
    "number_signs_per_word",
    "ellipses_per_word",
    "alphabetic_words",
    "stop_words_en",
    "stop_words_zh",
)


@cache
def stop_word_hashes(hash_of: Callable[[str], int]) -> U64:
    """Each list of `STOP_WORDS` as the hashes that tokens have: uint64[lists, longest list], padded with 0."""
    table = np.zeros((len(STOP_WORDS), max(map(len, STOP_WORDS.values()))), np.uint64)
    for index, words in enumerate(STOP_WORDS.values()):
        table[index, : len(words)] = [hash_of(word) for word in words]
    return table


@kernel
def measure_quality(tokens: Tokens, n_tokens: int, totals: Totals, found: I64, row: F64) -> None:
    """Write the values of `NAMES` to `row`; all are 0 where the document has no token."""
    row[:] = 0.0
    words = length = alphabetic = 0
    for i in range(n_tokens):
        bits = np.int64(tokens.bits[i])
        word = (bits & CONTENT) != 0
        words += word
        length += word * (tokens.ends[i + 1] - tokens.ends[i])
        alphabetic += (bits & ALPHABETIC) != 0
    if n_tokens == 0:
        return
    row[0] = words
    if words:
        row[1] = length / words
    row[2] = totals.number_signs / n_tokens
    row[3] = totals.ellipses / n_tokens
    row[4] = alphabetic / n_tokens
    row[5] = found[0]
    row[6] = found[1]
