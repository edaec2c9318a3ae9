"""Takedowns: documents that must leave a corpus, and the rules that name them.

A document that is taken down stands for nothing: it meets no other document, so that among those it used to stand for a
new keeper is elected. All that is looked at lies beside its signature (id, site, URL), so that no text is read again.
"""

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class Rules(NamedTuple):
    """What is taken down; a document goes if any of it names the document."""

    sources: tuple[str, ...] = ()  # dumps and plain sources by name
    sites: tuple[str, ...] = ()  # registered domains, as in the column `site`
    urls: tuple[str, ...] = ()  # whole URLs in which `*` stands for any characters
    ids: tuple[str, ...] = ()  # of single documents


def taken_down(rows: pa.Table, source: str, rules: Rules) -> npt.NDArray[np.bool_]:
    """Which rows of a table with columns `id`, `site` and `url`, of the dump or source named, are taken down."""
    if source in rules.sources:
        return np.ones(len(rows), bool)
    masks = [pc.is_in(rows[column], pa.array(values, pa.string())) for column, values in _lists(rules)]
    masks += [_matching(rows, pattern) for pattern in rules.urls]
    gone = np.zeros(len(rows), bool)
    for mask in masks:
        gone |= pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return gone


def named_by(rows: pa.Table, source: str, rules: Rules) -> dict[str, int]:
    """How many of the rows each rule names, for the rules that name any."""
    found = {f"sources: {name}": len(rows) for name in rules.sources if name == source}
    for column, values in _lists(rules):
        indices = pc.drop_null(pc.index_in(rows[column], pa.array(values, pa.string()))).to_numpy()
        counts = np.bincount(indices, minlength=len(values)).tolist()
        found |= {f"{column}s: {value}": count for value, count in zip(values, counts)}
    found |= {f"urls: {pattern}": pc.sum(_matching(rows, pattern)).as_py() or 0 for pattern in rules.urls}
    return {rule: count for rule, count in found.items() if count}


def _lists(rules: Rules) -> list[tuple[str, tuple[str, ...]]]:
    """The columns that are looked up, and the values that are taken down, each once."""
    listed = (("id", rules.ids), ("site", rules.sites))
    return [(column, tuple(dict.fromkeys(values))) for column, values in listed if values]


def _matching(rows: pa.Table, pattern: str) -> pa.ChunkedArray:
    return pc.match_substring_regex(rows["url"], _expression(pattern))


def _expression(pattern: str) -> str:
    """The regular expression of the strings that a pattern with `*` names, whole."""
    return rf"(?s)\A{'.*'.join(map(re.escape, pattern.split('*')))}\z"
