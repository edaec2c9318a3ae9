"""Signals and verdicts of a table of documents: what `headwater filter` does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.errors import UsageError
from corpus.io.document_table import as_documents
from corpus.language import SCORE, default_identifier
from corpus.linguistic import verdict
from corpus.linguistic.measure import SCHEMA
from corpus.linguistic.measure import measure as measure_texts
from corpus.linguistic.thresholds import TABLES, Table

LANGUAGES = ("en", "zh")  # that have thresholds of their own
MEASURED = pa.schema([("id", pa.string()), *SCHEMA])
JUDGED = pa.schema(
    [("id", pa.string()), ("language", pa.string()), ("keep", pa.bool_()), ("reasons", pa.list_(pa.string())), *SCHEMA]
)


def measure(documents: Any) -> pa.Table:
    """Every quality signal of each document: a table of `id` and a column per signal, in input order.

    `documents` is a table with `text` (string) and optional `id`, see `corpus.io.document_table`. Counts are int32,
    shares and means float32; `corpus/signals.py` says what each is. Raises UsageError for a table without texts.

    >>> measure({"text": ["Two words.", "今天天气很好。"]}).select(["words", "han"]).to_pylist()[0]
    {'words': 2, 'han': 0.0}
    """
    table = as_documents(documents)
    return measure_texts(table["text"]).add_column(0, "id", table["id"])


def judge(
    documents: Any,
    language: str = "auto",
    *,
    thresholds: Mapping[str, Table] = TABLES,
    languages: Sequence[str] = LANGUAGES,
    least_score: float = SCORE,
) -> pa.Table:
    """Which documents are worth keeping: `id`, `language`, `keep`, `reasons`, and a column per signal.

    `documents` is a table with `text` (string) and optional `id`, see `corpus.io.document_table`; rows stay in input
    order. `language` is `en` or `zh`, whose thresholds then apply to all, or `auto`: each document's language is
    identified, and one of another language than `languages`, or identified with less than `least_score`, is not kept.
    `reasons` (list of string) names every failed rule, `signal value op threshold`. `thresholds` are those of
    `corpus.linguistic.thresholds.override`. Raises UsageError for a language without thresholds, a table without
    texts, or where the model that identifies languages is not installed.

    >>> judge({"text": ["Too short."]}, language="en").select(["keep", "reasons"]).to_pylist()[0]["reasons"][0]
    'words 2 < 50'
    """
    if language not in ("auto", *languages):
        raise UsageError(f"language {language!r}: should be auto or one of {', '.join(languages)}")
    table = as_documents(documents)
    measured = measure(table)
    if language == "auto":
        found = default_identifier().identify(table["text"].to_pylist())
        names, score = found.language, found.score
    else:
        names, score = [language] * len(table), np.ones(len(table), np.float32)
    verdicts = verdict.judge(measured, names, score, thresholds, "auto", languages, least_score)
    columns = [table["id"], pa.array(names, pa.string()), verdicts["keep"], verdicts["reasons"]]
    return pa.table([*columns, *measured.columns[1:]], schema=JUDGED)
