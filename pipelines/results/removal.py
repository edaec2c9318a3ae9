"""What deduplication removes of each source and each site, level by level, with a warning where it is more than half.

A dump loses what other dumps hold in a preferred capture, so a high share is natural there. A site, or a source of
books or code, that loses most of its documents deserves a look. Another site may copy it, or all of its pages share a
template. The report's clusters show the pages side by side.
"""

from collections import Counter
from typing import Any

from pipelines.config.inputs import FilesInput
from pipelines.config.recipe import Recipe
from pipelines.results.sections import SMALL_SITE, grouped
from pipelines.results.tally import Tally

LEVELS = ("exact", "url", "near", "takedown")
MUCH = 0.5  # share of a source or site whose removal deserves a look
SITES = 20  # sites shown, those that lose the largest number first


def removal(recipe: Recipe, tally: Tally, dumps: list[str]) -> dict[str, Any] | None:
    """Documents removed of each source by level, and of the sites that lose most; None before deduplication.

    `much` says whether it loses more than half, if it has at least SMALL_SITE documents; `sites_over_half` counts them.
    """
    if not tally.shards["duplicates"] or tally.sums is None:
        return None
    by_dump = grouped(tally.sums, "dump")
    plain = {item.name for item in recipe.inputs if isinstance(item, FilesInput)}
    sources = []
    for dump in dumps:
        if dump in by_dump:
            found = tally.levels.get(dump, Counter())
            levels = {level: found[level] for level in LEVELS}
            kind = "source" if dump in plain else "dump"
            sources.append({"source": dump, "kind": kind, "levels": levels} | _lost(by_dump[dump]))
    sites = [{"site": site} | _lost(sums) for site, sums in grouped(tally.sums, "site").items()]
    sites.sort(key=lambda row: (-row["removed"], row["site"]))
    return {
        "levels": [level for level in LEVELS if any(row["levels"][level] for row in sources)],
        "sources": sources,
        "sites": sites[:SITES],
        "sites_over_half": sum(row["much"] for row in sites),
        "all_sites": len(sites),
    }


def _lost(sums: Any) -> dict[str, Any]:
    documents, removed = sums["extracted"], sums["duplicate"]
    share = removed / documents if documents else 0.0
    much = share > MUCH and documents >= SMALL_SITE
    return {"documents": documents, "removed": removed, "share": round(share, 6), "much": much}
