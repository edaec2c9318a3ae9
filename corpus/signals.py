"""What is known of documents by name: the registry of signals that verdicts may set bounds on.

A signal is a number measured of each document, a column of one of the tables that stand beside `documents/`. The
registry says for each its table, its meaning and where its definition is published. `corpus.linguistic.thresholds` has
the bounds that apply by default, and a recipe may bound any signal that its run measures. A table that judges
documents in a new way registers its signals here, one line each, and its stage in `pipelines.stages.filter.stages`;
verdicts, `headwater filter try`, `headwater why` and the reports then know them. Nothing heavy is imported here, so
that a recipe is checked without waiting for the kernels.
"""

from collections.abc import Mapping
from typing import NamedTuple

from corpus.errors import nearest


class Signal(NamedTuple):
    """A column of numbers; a missing value (null) is one that does not apply to the document, and passes any bound."""

    name: str
    table: str  # the folder of its table
    meaning: str
    source: str  # where it is defined


_GOPHER = "Gopher, arXiv 2112.11446 A1.1"
_GOPHER_REPEATS = "Gopher, arXiv 2112.11446 table A1"
_FINEWEB = "FineWeb, arXiv 2406.17557 section 3.6"
_C4 = "C4, arXiv 1910.10683 section 2.2; c4_utils.py"
_MAP = "MAP-CC, arXiv 2404.04167"
_CWT = "ChineseWebText, arXiv 2311.01149"
_RPV2 = "RedPajama-v2 quality signals"

_QUALITY = (
    ("words", "tokens with a character that is no punctuation; in Chinese, words by jieba", _GOPHER),
    ("mean_word_length", "their mean length in characters", _GOPHER),
    ("number_signs_per_word", "# for each token", _GOPHER),
    ("ellipses_per_word", "... and … for each token", _GOPHER),
    ("alphabetic_words", "share of tokens with a letter", _GOPHER),
    ("stop_words_en", "distinct words of: the be to of and that have with", _GOPHER),
    ("stop_words_zh", "distinct characters of 22 function words", "FineWeb-2 configs/cmn_Hani.yml"),
    ("lines", "lines that are not blank", _GOPHER),
    ("mean_line_length", "their mean length in characters", _CWT),
    ("bullet_lines", "share of lines that begin with a bullet", _GOPHER),
    ("ellipsis_lines", "share of lines that end with an ellipsis", _GOPHER),
    ("finished_lines", "share of lines that end with a sentence terminal", _FINEWEB),
    ("short_lines", "share of lines of at most 30 characters", _FINEWEB),
    ("line_breaks_per_word", "line breaks for each token", _FINEWEB),
    ("duplicate_lines", "share of lines seen before in the document", _GOPHER_REPEATS),
    ("duplicate_line_characters", "their characters over all", _GOPHER_REPEATS),
    ("duplicate_paragraphs", "share of paragraphs seen before", _GOPHER_REPEATS),
    ("duplicate_paragraph_characters", "their characters over all", _GOPHER_REPEATS),
    ("repeated_line_characters", "characters of repeated lines over characters without line feeds", _FINEWEB),
    ("unique_tokens", "distinct tokens over tokens", _RPV2),
    ("unigram_entropy", "Shannon entropy of the tokens in nats", f"{_RPV2}; {_MAP}"),
    *((f"top_{n}_gram", f"characters of the most frequent {n}-gram over all", _GOPHER_REPEATS) for n in (2, 3, 4)),
    *(
        (f"duplicate_{n}_gram", f"characters in repeated {n}-grams over all", _GOPHER_REPEATS)
        for n in (5, 6, 7, 8, 9, 10)
    ),
    ("characters", "code points", _CWT),
    ("sentences", "runs of sentence terminals", _MAP),
    ("mean_sentence_length", "characters for each of these", "ours; docs/decisions/filters.md"),
    ("han", "Chinese characters over characters that are no space and no punctuation", _CWT),
    ("digits", "digits over the same", _MAP),
    ("bracketed", "characters inside 【】 over all", _MAP),
    ("javascript_lines", "share of lines with the word javascript", _C4),
    ("policy_lines", "share of lines about cookies, privacy or terms of use", _C4),
    ("lorem_ipsum", "lines with lorem ipsum", _C4),
    ("curly_brackets", "lines with {", _C4),
    ("few_word_lines", "share of lines of less than 3 words", _C4),
    ("longest_word", "characters between white space, at most", _C4),
    ("c4_lines", "share of lines that C4 keeps", _C4),
    ("c4_sentences", "ends of sentences in those lines", _C4),
)

_CONTAMINATION = (
    ("benchmark_items", "benchmark items that the document holds", "13-grams as GPT-3, arXiv 2005.14165 appendix C"),
)

_CLASSIFIER = (("quality_score", "calibrated probability of being like the positives", "DCLM, arXiv 2406.11794"),)
_PERPLEXITY = (
    ("perplexity", "under an n-gram model of clean text in the document's language", "CCNet, arXiv 1911.00359"),
    ("perplexity_rank", "share of reference documents below it; CCNet cuts at 0.3 and 0.6", "CCNet, arXiv 1911.00359"),
)
_TOPICS = (("topic_score", "probability of the most probable topic", "docs/decisions/judges.md"),)
_TRANSFORMER = (("transformer_score", "of the transformer that the recipe names", "FineWeb-Edu, arXiv 2406.17557"),)
_SAFETY = tuple(
    (f"{trade}_share", f"share of words inside phrases of {trade} pages", "ours; corpus/safety/lexicon.py")
    for trade in ("adult", "gambling", "spam")
)
_LISTS = (
    ("blocked", "1 where a blocklist of the recipe names the address", "UT1-style lists, as FineWeb's"),
    ("opted_out", "1 where the address's owner wants no part in it", "the recipe's opt-out lists"),
)

REGISTRY: Mapping[str, Signal] = {
    name: Signal(name, table, meaning, source)
    for table, signals in {
        "quality": _QUALITY,
        "classifier": _CLASSIFIER,
        "perplexity": _PERPLEXITY,
        "topics": _TOPICS,
        "transformer": _TRANSFORMER,
        "contamination": _CONTAMINATION,
        "safety": _SAFETY,
        "lists": _LISTS,
    }.items()
    for name, meaning, source in signals
}
TABLES: tuple[str, ...] = tuple(dict.fromkeys(signal.table for signal in REGISTRY.values()))


def find(name: str) -> Signal:
    """The signal of that name; raise ValueError that names the nearest where there is none."""
    if name in REGISTRY:
        return REGISTRY[name]
    raise ValueError(f"there is no signal `{name}`; {nearest(name, REGISTRY, 'the signals are:')}")
