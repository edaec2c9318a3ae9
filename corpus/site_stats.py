"""The global perspective: what all documents of a site, taken together, say about each of them.

A page of a spam farm may pass every rule alone. Its site gives it away: nearly all of its other pages fail. Or most of
its text is one template, or the same page stands under a hundred addresses. Or the words of a trade are on every page
in doses too small for a verdict. So documents are added up by site (the registered domain), and a site with enough of
them is judged by signals of its own. Sums are in long form, `(site, name, value)`: shards, dumps and partitions add up
by adding, and a new count needs no new column.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SUMS = pa.schema([("site", pa.string()), ("name", pa.string()), ("value", pa.float64())])
CLONES = 3  # members a dump from which a cluster is one page under many addresses, and not a page and its copy
QUALITY_CLASSES = 10
_LANGUAGE, _REASON, _QUALITY = "language.", "reason.", "quality."
_MEANS = ("adult_share", "gambling_share", "spam_share")

SIGNALS: Mapping[str, str] = {
    "failed_share": "share of documents that the filter drops",
    "duplicate_share": "share of documents that deduplication drops; recrawled sites have much of it",
    "cloned_share": f"share of documents in clusters with {CLONES} or more members a dump",
    "templated_share": "share of bytes in lines that many documents of the site have",
    **dict.fromkeys(_MEANS, "mean over its documents"),
}
SITES = pa.schema(
    [
        ("site", pa.string()),
        ("keep", pa.bool_()),
        ("reasons_of_site", pa.list_(pa.string())),
        ("documents", pa.int64()),
        ("bytes", pa.int64()),
        ("kept", pa.int64()),  # documents that filter and deduplication keep
        *((name, pa.float32()) for name in SIGNALS),
        ("languages", pa.map_(pa.string(), pa.int64())),  # documents by language
        ("reasons", pa.map_(pa.string(), pa.int64())),  # documents by the signal that failed them
        ("quality", pa.list_(pa.int64(), QUALITY_CLASSES)),  # documents by tenth of quality_score
    ]
)


class Bound(NamedTuple):
    """The most that a signal of a site may be."""

    signal: str
    most: float


def sums(documents: pa.Table) -> pa.Table:
    """Add up documents by site: a table of `SUMS`, sorted by site and name.

    `documents` has site, length, language, failed, duplicate, cluster_size, cluster_dumps and reasons (list<string>),
    and where they are measured template_bytes, the shares of trades, allowed and quality_score. Documents without a
    site are left out.
    """
    documents = documents.filter(pc.is_valid(documents["site"]))
    site = documents["site"]
    dropped = pc.or_(documents["failed"], documents["duplicate"])
    clones = pc.greater_equal(documents["cluster_size"], pc.multiply(documents["cluster_dumps"], CLONES))
    columns: dict[str, Any] = {
        "documents": pa.array(np.ones(len(documents))),
        "bytes": documents["length"],
        "kept": pc.invert(dropped),
        "failed": documents["failed"],
        "duplicates": documents["duplicate"],
        "clones": clones,
    }
    columns |= {
        name: documents[name] for name in ("template_bytes", "allowed", *_MEANS) if name in documents.column_names
    }
    parts = [pa.table([site, _named(name, len(site)), pc.cast(values, pa.float64())], schema=SUMS)
             for name, values in columns.items()]  # fmt: skip
    parts.append(_counted(site, pc.binary_join_element_wise(_LANGUAGE, documents["language"], "")))
    reasons = documents["reasons"].combine_chunks()
    signal = pc.list_element(pc.split_pattern(reasons.flatten(), " ", max_splits=1), 0)
    parts.append(_counted(site.take(reasons.value_parent_indices()), pc.binary_join_element_wise(_REASON, signal, "")))
    if "quality_score" in documents.column_names:
        scored = documents.filter(pc.is_valid(documents["quality_score"]))
        tenth = np.minimum(scored["quality_score"].to_numpy() * QUALITY_CLASSES, QUALITY_CLASSES - 1).astype(np.int64)
        parts.append(_counted(scored["site"], pa.array([f"{_QUALITY}{value}" for value in tenth], pa.string())))
    return add_up(pa.concat_tables(parts))


def add_up(rows: pa.Table) -> pa.Table:
    """The sums of rows of `SUMS` with equal site and name, sorted."""
    summed = rows.group_by(["site", "name"], use_threads=False).aggregate([("value", "sum")])
    return summed.rename_columns(["site", "name", "value"]).select(SUMS.names).sort_by(
        [("site", "ascending"), ("name", "ascending")]
    )  # fmt: skip


def judge(rows: pa.Table, bounds: Sequence[Bound], least_documents: int) -> pa.Table:
    """Sites and their verdicts, a table of `SITES`, from all their sums (sorted by site and name).

    A site of fewer than `least_documents` documents, or with a document that an allowlist names, is kept.
    """
    by_site: dict[str, dict[str, float]] = {}
    for site, name, value in zip(*(column.to_pylist() for column in rows.columns)):
        by_site.setdefault(site, {})[name] = value
    return pa.Table.from_pylist([_row(site, of, bounds, least_documents) for site, of in by_site.items()], SITES)


def _row(site: str, of: Mapping[str, float], bounds: Sequence[Bound], least_documents: int) -> dict[str, Any]:
    documents = of["documents"]
    signals = {
        "failed_share": of["failed"] / documents,
        "duplicate_share": of["duplicates"] / documents,
        "cloned_share": of["clones"] / documents,
        "templated_share": of.get("template_bytes", 0.0) / max(1.0, of["bytes"]),
        **{name: of.get(name, 0.0) / documents for name in _MEANS},
    }
    judged = documents >= least_documents and not of.get("allowed")
    reasons = [
        f"{bound.signal} {signals[bound.signal]:.3g} > {bound.most:g}"
        for bound in bounds
        if judged and signals[bound.signal] > bound.most
    ]
    return {
        "site": site,
        "keep": not reasons,
        "reasons_of_site": reasons,
        **{name: int(of[name]) for name in ("documents", "bytes", "kept")},
        **signals,
        "languages": _part(of, _LANGUAGE),
        "reasons": _part(of, _REASON),
        "quality": [int(of.get(f"{_QUALITY}{tenth}", 0)) for tenth in range(QUALITY_CLASSES)],
    }


def _part(of: Mapping[str, float], prefix: str) -> list[tuple[str, int]]:
    return [(name.removeprefix(prefix), int(value)) for name, value in of.items() if name.startswith(prefix)]


def _named(name: str, rows: int) -> pa.Array:
    return pa.array([name]).take(pa.array(np.zeros(rows, np.int64)))


def _counted(site: pa.ChunkedArray, names: pa.Array | pa.ChunkedArray) -> pa.Table:
    return pa.table([site, names, pa.array(np.ones(len(site)))], schema=SUMS)
