"""Takedowns: documents that must leave a corpus, and the rules that name them.

A document that is taken down stands for nothing: it meets no other document, so that among those it used to stand for a
new keeper is elected. All that is looked at lies beside its signature (id, site, URL), so that no text is read again.

A rule for URLs names a document when it fits its URL as written, or when the rule's key fits the URL's key
(`corpus.url.url_keys`): who asks for a page to be taken down means it with http and https, with `www.` and without. A
rule that begins with `*` fits any scheme and host as it stands, and is compared as written only.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.url import url_key, url_keys


class Rules(NamedTuple):
    """What is taken down; a document goes if any of it names the document."""

    sources: tuple[str, ...] = ()  # dumps and plain sources by name
    sites: tuple[str, ...] = ()  # registered domains, as in the column `site`
    urls: tuple[str, ...] = ()  # whole URLs, with or without a scheme, in which `*` stands for any characters
    ids: tuple[str, ...] = ()  # of single documents


def taken_down(rows: pa.Table, source: str, rules: Rules) -> npt.NDArray[np.bool_]:
    """Which rows of a table with columns `id`, `site` and `url`, of the dump or source named, are taken down."""
    if source in rules.sources:
        return np.ones(len(rows), bool)
    masks = [pc.is_in(rows[column], pa.array(values, pa.string())) for column, values in _lists(rules)]
    masks += _matching(rows, rules.urls)
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
    found |= {f"urls: {url}": pc.sum(mask).as_py() or 0 for url, mask in zip(rules.urls, _matching(rows, rules.urls))}
    return {rule: count for rule, count in found.items() if count}


def _lists(rules: Rules) -> list[tuple[str, tuple[str, ...]]]:
    """The columns that are looked up, and the values that are taken down, each once."""
    listed = (("id", rules.ids), ("site", rules.sites))
    return [(column, tuple(dict.fromkeys(values))) for column, values in listed if values]


def _matching(rows: pa.Table, patterns: Sequence[str]) -> list[pa.ChunkedArray]:
    """Which URLs each pattern names; null where there is none."""
    if not patterns:
        return []
    urls = rows["url"]
    keys = pc.binary_join_element_wise(url_keys(urls), "/", "")  # so that `a/*` names `a/`, whose key is `a`
    masks = []
    for pattern in patterns:
        mask = pc.match_substring_regex(urls, rf"(?s)\A{_expression(pattern)}\z")
        if (key := _key(pattern)) is not None:
            mask = pc.or_kleene(mask, pc.match_substring_regex(keys, rf"(?s)\A{_expression(key)}/?\z"))
        masks.append(mask)
    return masks


def _key(pattern: str) -> str | None:
    """The key of a pattern, or None for one that begins with `*` and names no scheme."""
    scheme, mark, address = pattern.partition("://")
    if mark and "*" in scheme:
        pattern = address
    return None if pattern.startswith("*") else url_key(pattern)


def _expression(pattern: str) -> str:
    """The regular expression of the strings that a pattern with `*` names."""
    return ".*".join(map(re.escape, pattern.split("*")))
