"""Verdicts on sites: which were dropped whole and why, and what the largest ones are made of."""

from typing import Any

import pyarrow.compute as pc

from corpus.io import storage, table
from corpus.site_stats import SIGNALS
from pipelines.stages.sites import DROPPED

SHOWN = 100  # dropped sites and, apart from them, the largest of the kept
_REASONS = 3  # of a site's documents, the most frequent
_COLUMNS = [
    "site",
    "keep",
    "reasons_of_site",
    "documents",
    "bytes",
    "kept",
    *SIGNALS,
    "languages",
    "reasons",
    "quality",
]


def site_view(root: str) -> dict[str, Any] | None:
    """Counts of sites and the rows to show; None where sites have not been judged."""
    paths = [info.path for info in storage.list_files(storage.join(root, "sites"), ".parquet")]
    parts = [path for path in paths if "/dump=" not in path and not path.endswith(DROPPED)]
    if not parts:
        return None
    totals = {"sites": 0, "dropped": 0, "documents_dropped": 0, "documents": 0}
    dropped: list[dict[str, Any]] = []
    kept: list[dict[str, Any]] = []
    for path in parts:
        found = table.read_table(path, _COLUMNS).sort_by([("documents", "descending"), ("site", "ascending")])
        failed = found.filter(pc.invert(found["keep"]))
        totals["sites"] += len(found)
        totals["dropped"] += len(failed)
        totals["documents"] += int(pc.sum(found["documents"]).as_py() or 0)
        totals["documents_dropped"] += int(pc.sum(failed["documents"]).as_py() or 0)
        dropped += failed.slice(0, SHOWN).to_pylist()
        kept += found.filter(found["keep"]).slice(0, SHOWN).to_pylist()
    return totals | {"signals": list(SIGNALS), "gone": _largest(dropped), "largest": _largest(kept)}


def _largest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = sorted(rows, key=lambda row: (-row["documents"], row["site"]))[:SHOWN]
    return [
        row
        | {
            "languages": _most(row["languages"], row["documents"]),
            "reasons": _most(row["reasons"], row["documents"])[:_REASONS],
        }
        for row in rows
    ]


def _most(counts: list[tuple[str, int]], documents: int) -> list[tuple[str, float]]:
    """`(name, share of the documents)`, the largest first."""
    return [(name, count / documents) for name, count in sorted(counts, key=lambda pair: (-pair[1], pair[0]))]
