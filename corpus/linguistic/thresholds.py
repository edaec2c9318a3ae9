"""The thresholds of the verdicts: one readable table per language, each bound with where it comes from.

A document is kept if every signal of its language's table lies within the bounds, both ends included. `en` is Gopher
(arXiv 2112.11446, section A1.1 and table A1), bound for bound. `zh` is FineWeb-2's cmn_Hani (configs/cmn_Hani.yml) and
MAP-CC (arXiv 2404.04167) with bounds moved where clean Chinese text was lost; docs/decisions/filters.md has the
figures. `default` holds what can be said of any language. `always` applies to every document beside its language's
table, code and other sources without rules included.

A recipe changes bounds, drops rules and adds rules on any other signal, by language:

    filter:
      thresholds:
        en: {words: {min: 30}, finished_lines: {min: 0.12}, bullet_lines: off}
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from corpus import signals


class Bounds(NamedTuple):
    """What a signal may be: at least `min`, at most `max`; None is no bound."""

    min: float | None = None
    max: float | None = None


def _within(low: float, high: float) -> Bounds:
    return Bounds(low, high)


def _least(low: float) -> Bounds:
    return Bounds(low, None)


def _most(high: float) -> Bounds:
    return Bounds(None, high)


Table = Mapping[str, Bounds]

_SYMBOLS: Table = {  # Gopher A1.1
    "number_signs_per_word": _most(0.1),
    "ellipses_per_word": _most(0.1),
    "bullet_lines": _most(0.9),
    "ellipsis_lines": _most(0.3),
}
_GOPHER_REPETITION: Table = {  # Gopher table A1
    "duplicate_lines": _most(0.30),
    "duplicate_paragraphs": _most(0.30),
    "duplicate_line_characters": _most(0.20),
    "duplicate_paragraph_characters": _most(0.20),
    "top_2_gram": _most(0.20),
    "top_3_gram": _most(0.18),
    "top_4_gram": _most(0.16),
    "duplicate_5_gram": _most(0.15),
    "duplicate_6_gram": _most(0.14),
    "duplicate_7_gram": _most(0.13),
    "duplicate_8_gram": _most(0.12),
    "duplicate_9_gram": _most(0.11),
    "duplicate_10_gram": _most(0.10),
}

TABLES: Mapping[str, Table] = {
    "en": {
        "words": _within(50, 100_000),
        "mean_word_length": _within(3, 10),
        **_SYMBOLS,
        "alphabetic_words": _least(0.8),
        "stop_words_en": _least(2),
        **_GOPHER_REPETITION,
    },
    "zh": {
        "words": _within(50, 100_000),  # jieba's: FineWeb-2
        "mean_word_length": _within(1, 5),  # FineWeb-2
        **_SYMBOLS,
        "alphabetic_words": _least(0.4),  # FineWeb-2 has 0.735, though each comma is a word: it lost 69% of tech news
        "stop_words_zh": _least(2),  # FineWeb-2
        "mean_line_length": _least(10),  # ChineseWebText
        "mean_sentence_length": _most(200),  # ours, in place of FineWeb-2's finished_lines >= 0.106
        "line_breaks_per_word": _most(0.178),  # FineWeb-2
        "duplicate_lines": _most(0.40),  # FineWeb-2 has 0.287: it lost one technical article in nine
        "repeated_line_characters": _most(0.20),  # FineWeb-2 has 0.1
        "top_2_gram": _most(0.30),  # FineWeb-2 has 0.256, 0.201 and 0.171, which lost one tech article in five for the
        "top_3_gram": _most(0.45),  # "=====" below its title: jieba makes each sign a word
        "top_4_gram": _most(0.60),
        "duplicate_5_gram": _most(0.40),  # FineWeb-2 has 0.198, 0.182, 0.154 and 0.127: moved to bounds that 99 in 100
        "duplicate_6_gram": _most(0.35),  # national laws meet, the most formulaic clean prose at hand
        "duplicate_8_gram": _most(0.30),
        "duplicate_10_gram": _most(0.25),
        "han": _least(0.2),  # ChineseWebText has 0.3: it lost articles that quote code
        "digits": _most(0.3),  # MAP-CC
        "bracketed": _most(0.1),  # MAP-CC
        "unigram_entropy": _least(3),  # MAP-CC
    },
    "default": {**_SYMBOLS, **_GOPHER_REPETITION},
    "always": {
        "benchmark_items": _most(0),
        "blocked": _most(0),
        "opted_out": _most(0),
        "adult_share": _most(0.03),  # ours, as the next two: docs/decisions/safety.md has the figures
        "gambling_share": _most(0.03),
        "spam_share": _most(0.05),
    },
}
ALWAYS = "always"


def table_for(language: str, tables: Mapping[str, Table] = TABLES) -> Table:
    """The table of a language, or the default one."""
    return tables.get(language, tables["default"])


def override(changes: Mapping[str, Mapping[str, Bounds | None]]) -> dict[str, dict[str, Bounds]]:
    """`TABLES` with changes by language and signal: new bounds replace a rule, None drops it.

    A language without a table starts from the default one. Raises ValueError as `check_rule` does.
    """
    tables = {language: dict(table) for language, table in TABLES.items()}
    for language, rules in changes.items():
        table = tables.setdefault(language, dict(TABLES["default"]))
        for signal, bounds in rules.items():
            check_rule(language, signal, *(bounds or ()))
            if bounds is None:
                table.pop(signal, None)
            else:
                table[signal] = bounds
    return tables


def check_rule(language: str, signal: str, *bounds: float | None) -> None:
    """Raise ValueError unless the signal exists and the bounds (min, max; none to drop the rule) admit some value."""
    try:
        signals.find(signal)
    except ValueError as error:
        raise ValueError(f"{language}: {error}") from None
    if bounds:
        low, high = bounds
        if any(bound is not None and math.isnan(bound) for bound in bounds):
            raise ValueError(f"{language}.{signal}: a bound is a number, and nan is not one")
        if low is None and high is None:
            raise ValueError(f"{language}.{signal}: give `min`, `max` or both, or `off` to drop the rule")
        if low is not None and high is not None and low > high:
            raise ValueError(f"{language}.{signal}: no value is at least {low:g} and at most {high:g}")
