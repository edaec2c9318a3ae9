"""The sections of the report that follow from the tally, as plain JSON-able values.

The page draws them, and tools read them from the files beside it. Each function gives one section; a section whose
stage has not run is None.
"""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.io import storage
from pipelines.config.inputs import CrawlInput, FilesInput
from pipelines.config.recipe import Recipe
from pipelines.results.tally import SUMS, Tally

PAPER = "DeepSeek LLM, arXiv 2401.02954, Table 1"
PAPER_TABLE_1 = {1: 22.2, 2: 46.7, 6: 55.7, 12: 69.9, 16: 75.7, 22: 76.3, 41: 81.6, 91: 89.8}  # dumps: dedup rate, %
LANGUAGES = 4  # shown by name at most; the rest are "other"
SMALL_LANGUAGE = 0.01  # of all bytes; smaller ones are not shown by name
SITES = 150  # the largest sites shown
FLAGGED_SITES = 100  # further sites shown because most of them is removed
WATERFALL = 12  # rules that have a step of their own
SMALL_SITE = 10  # documents; smaller sites are not flagged
STEPS = [
    ("extracted", "Extracted"),
    ("unique", "Deduplicated"),
    ("passed", "Filtered"),
    ("kept", "In a domain"),
    ("training", "Training split"),
]
NEEDS = {"passed": "verdicts", "unique": "duplicates", "kept": "domains", "training": "domains"}


def waterfall(recipe: Recipe, tally: Tally) -> dict[str, Any] | None:
    """Documents and bytes after each step: those of the dumps by language, those of a plain source as `NAME (source)`,
    so that a source named `en` is not taken for the language."""
    if tally.sums is None:
        return None
    plain = pa.array([item.name for item in recipe.inputs if isinstance(item, FilesInput)], pa.string())
    dump, language = tally.sums["dump"], tally.sums.column_names.index("language")
    source = pc.binary_join_element_wise(dump, "(source)", " ")
    group = pc.if_else(pc.is_in(dump, plain), source, tally.sums["language"])
    by_language = grouped(tally.sums.set_column(language, "language", group), "language")
    ranked = sorted(by_language, key=lambda name: (-by_language[name]["extracted_bytes"], name))
    least = SMALL_LANGUAGE * sum(sums["extracted_bytes"] for sums in by_language.values())
    shown = [name for name in ranked[:LANGUAGES] if by_language[name]["extracted_bytes"] >= least]
    names = shown if shown == ranked else [*shown, "other"]
    steps = []
    for step, title in STEPS:
        if step in NEEDS and not tally.shards[NEEDS[step]]:
            continue
        split: dict[str, dict[str, int]] = {name: {"documents": 0, "bytes": 0} for name in names}
        for language, sums in by_language.items():
            into = split[language if language in shown else "other"]
            into["documents"] += sums[step]
            into["bytes"] += sums[f"{step}_bytes"]
        steps.append({"step": step, "title": title, "languages": split} | _total(split))
    return {"languages": names, "steps": steps}


def extraction(tally: Tally, dumps: list[str]) -> dict[str, Any] | None:
    """Records read, documents made and rejects by reason, in all and by dump."""
    if not tally.shards["documents"] and not tally.rejects:
        return None
    documents = grouped(tally.sums, "dump") if tally.sums is not None else {}
    rows = []
    for dump in dumps:
        made, lost = documents.get(dump, Counter()), tally.rejects.get(dump, Counter())
        records = made["extracted"] + lost.total()
        rows.append(
            {"dump": dump, "records": records, "documents": made["extracted"], "bytes": made["extracted_bytes"]}
        )
        rows[-1]["rejects"] = dict(sorted(lost.items()))
    total = sum(tally.rejects.values(), start=Counter[str]())
    return {"dumps": rows, "rejects": _ranked(total)}


def filtering(tally: Tally) -> dict[str, Any] | None:
    """Documents by the reasons for which they were dropped; one document may have several.

    In `waterfall` each document counts once, for the first of them; `left` is what remains of all.
    """
    if not tally.shards["verdicts"] or tally.sums is None:
        return None
    totals: Counter[str] = Counter()
    languages: dict[str, Counter[str]] = {}
    for (language, reason), count in tally.reasons.items():
        totals[reason] += count
        languages.setdefault(reason, Counter())[language] += count
    reasons = [
        {
            "reason": reason,
            "documents": count,
            "alone": tally.sole_reasons[reason],
            "languages": _ranked(languages[reason]),
        }
        for reason, count in _ranked(totals).items()
    ]
    sums = {name: sum(tally.sums[name].to_pylist()) for name in ("extracted", "filtered")}
    waterfall, left = [], sums["extracted"]
    ranked = list(_ranked(tally.first_reasons).items())
    for reason, count in [*ranked[:WATERFALL], ("all other rules", sum(count for _, count in ranked[WATERFALL:]))]:
        left -= count
        waterfall += [{"reason": reason, "documents": count, "left": left}] if count else []
    totals_of = {"documents": sums["extracted"], "dropped": sums["filtered"]}
    return totals_of | {"reasons": reasons, "waterfall": waterfall}


def deduplication(recipe: Recipe, tally: Tally, dumps: list[str]) -> dict[str, Any] | None:
    """The dedup rate against the number of dumps, beside the paper's; duplicates by level; sizes of clusters."""
    if not tally.shards["duplicates"]:
        return None
    documents = grouped(tally.sums, "dump")
    levels = sum(tally.levels.values(), start=Counter[str]())
    return {
        "curve": read_curve(recipe),
        "paper": [{"dumps": dumps, "rate": rate / 100} for dumps, rate in PAPER_TABLE_1.items()],
        "paper_source": PAPER,
        "levels": _ranked(levels),
        "dumps": [
            {"dump": dump, "documents": documents[dump]["extracted"], "duplicates": documents[dump]["duplicate"]}
            | {"levels": dict(tally.levels.get(dump, {}))}
            for dump in dumps
            if dump in documents
        ],
        "cluster_sizes": [{"size": size, "clusters": count} for size, count in sorted(tally.cluster_sizes.items())],
        "cluster_dumps": [{"dumps": size, "clusters": count} for size, count in sorted(tally.cluster_dumps.items())],
        "similarities": [{"percent": key, "documents": count} for key, count in sorted(tally.similarities.items())],
    }


def read_curve(recipe: Recipe) -> list[dict[str, Any]]:
    """Documents, groups and the share removed of the first k dumps, for each k, as deduplication counted them.

    Plain sources take part in deduplication but are no dumps, so they have no point of their own.
    """
    path = storage.join(recipe.root, "dedup/dedup_rate.json")
    if not storage.exists(path):
        return []
    sources = {item.name for item in recipe.inputs if not isinstance(item, CrawlInput)}
    points = [row for row in storage.read_json(path)["curve"] if row["dump"] not in sources]
    return [row | {"dumps": number} for number, row in enumerate(points, 1)]


def sites(tally: Tally) -> dict[str, Any] | None:
    """The largest sites, and those that lose most of what they had; `note` says how."""
    if tally.sums is None:
        return None
    rows = [_site(name, sums) for name, sums in grouped(tally.sums, "site").items()]
    rows.sort(key=lambda row: (-row["documents"], row["site"]))
    flagged = [row for row in rows[SITES:] if row["note"]][:FLAGGED_SITES]
    gone = sum(row["note"] == "gone" for row in rows)
    return {"sites": len(rows), "gone": gone, "rows": rows[:SITES] + flagged}


def _site(name: str, sums: Counter[str]) -> dict[str, Any]:
    documents, kept = sums["extracted"], sums["kept"]
    note = ""
    if documents >= SMALL_SITE:
        if not kept:
            note = "gone"
        elif sums["filtered"] * 2 > documents:
            note = "filters"
        elif sums["duplicate"] * 2 > documents:
            note = "duplicates"
    return {
        "site": name,
        "documents": documents,
        "bytes": sums["extracted_bytes"],
        "filtered": sums["filtered"],
        "duplicates": sums["duplicate"],
        "kept": kept,
        "kept_bytes": sums["kept_bytes"],
        "note": note,
    }


def grouped(sums: pa.Table, column: str) -> dict[str, Counter[str]]:
    """The sums added up by the values of one column."""
    added = sums.group_by(column).aggregate([(name, "sum") for name in SUMS])
    return {row[column]: Counter({name: row[f"{name}_sum"] for name in SUMS}) for row in added.to_pylist()}


def _total(split: dict[str, dict[str, int]]) -> dict[str, int]:
    return {unit: sum(part[unit] for part in split.values()) for unit in ("documents", "bytes")}


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
