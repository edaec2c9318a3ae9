"""Verdicts: thresholds applied to measured columns, every failed rule kept as a reason with its value.

Verdicts read columns and never text, so changing a threshold costs seconds. A reason is `signal value op threshold`,
as in `top_2_gram 0.31 > 0.2`: its first word is the signal to count by, and a person can read the rest. A document in
a language that the recipe does not keep, or whose language is not sure enough, has a reason that begins
with `language` and is not judged further. Comparisons are made in the column's own precision, so that a value equal
to its threshold passes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.linguistic.thresholds import ALWAYS, Table, table_for

SCHEMA = pa.schema([("id", pa.string()), ("keep", pa.bool_()), ("reasons", pa.list_(pa.string()))])


def judge(
    signals: pa.Table,
    languages: Sequence[str],
    scores: npt.NDArray[np.float32],
    tables: Mapping[str, Table],
    rules: str,
    keep_languages: Sequence[str],
    least_score: float,
) -> pa.Table:
    """Judge a table of measured signals with an `id` column; return a table of `SCHEMA`, in the same order.

    Rules on signals that are no column of it do not apply, and a missing value (null) passes every rule.
    `languages` and `scores` are each document's identified language and its confidence. `rules` is `auto` (the table of
    the document's language), the name of a table, or `none`: code is no prose, and no language to a language
    identifier. The table `always` is applied to every document.
    """
    columns = {name: signals[name].to_numpy() for name in signals.column_names if name != "id"}
    reasons: list[list[str]] = [[] for _ in range(len(signals))]
    groups: dict[str, list[int]] = {}
    for row, language in enumerate(languages):
        if rules == "none":
            break
        if language not in keep_languages:
            reasons[row].append(f"language {language} not in {','.join(keep_languages)}")
        elif scores[row] < np.float32(least_score):
            reasons[row].append(f"language_score {_number(scores[row], least_score)} < {least_score:g}")
        else:
            groups.setdefault(language if rules == "auto" else rules, []).append(row)
    for language, members in groups.items():
        _apply(table_for(language, tables), columns, np.array(members), reasons)
    _apply(tables.get(ALWAYS, {}), columns, np.arange(len(signals)), reasons)
    keep = [not given for given in reasons]
    return pa.table({"id": signals["id"], "keep": keep, "reasons": reasons}, schema=SCHEMA)


def _apply(
    table: Table, columns: Mapping[str, npt.NDArray], rows: npt.NDArray[np.int64], reasons: list[list[str]]
) -> None:
    for signal, bounds in table.items():
        if signal not in columns:
            continue
        values = columns[signal][rows]
        for bound, op in ((bounds.min, "<"), (bounds.max, ">")):
            if bound is None:
                continue
            limit = values.dtype.type(bound) if values.dtype.kind == "f" else bound
            failed = values < limit if op == "<" else values > limit
            for row, value in zip(rows[failed], values[failed]):
                reasons[row].append(f"{signal} {_number(value, bound)} {op} {bound:g}")


def _number(value: float, bound: float) -> str:
    """As few digits, from four on, as still show on which side of the bound the value lies."""
    for digits in (4, 6, 9):
        text = f"{float(value):.{digits}g}"
        if text != f"{bound:.{digits}g}":
            break
    return text
