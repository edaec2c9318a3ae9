"""What happened to a document: what every stage measured of it and decided, with the thresholds that decided.

Once its position is known, everything about it is read from the row groups that hold its row. It is used only where the
id there is its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import signals
from corpus.errors import HeadwaterError
from corpus.io import storage, table
from corpus.linguistic.thresholds import ALWAYS, table_for
from pipelines.config.recipe import Recipe
from pipelines.engine.shard_ref import ShardRef
from pipelines.results.lookup import LEAST_PREFIX, by_id, by_url, columns, matches, rejects_of
from pipelines.results.outcome import read_if_there
from pipelines.results.shards import RowRef, find_ids, read_rows, shards_in_order
from pipelines.results.why_spans import spans_at
from pipelines.stages.filter.verdicts import rules_of_inputs, verdict_parameters
from pipelines.stages.remix import PLAN, TOKEN_PLAN
from pipelines.stages.sites import DROPPED

DOCUMENT = [
    "id",
    "url",
    "site",
    "date",
    "language",
    "language_score",
    "lid_en",
    "lid_zh",
    "charset",
    "file",
    "offset",
    "length",
]
MEMBERS = 20  # documents of a cluster that are listed


class NotFound(HeadwaterError):
    """No document and no reject is what was asked for; the message names near matches."""


@dataclass
class Trace:
    """What happened to one capture. A stage that has not run, or ran for other documents, is None."""

    id: str
    url: str | None
    dump: str
    shard: str
    row: int
    outcome: str = ""
    extract: dict[str, Any] = field(default_factory=dict)
    filter: dict[str, Any] | None = None
    dedup: dict[str, Any] | None = None
    spans: dict[str, Any] | None = None
    site: list[str] = field(default_factory=list)  # why the site was dropped, with all of its documents
    remix: dict[str, Any] | None = None
    tokens: dict[str, Any] | None = None


def why(recipe: Recipe, id: str | None = None, url: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """`{"documents": [trace, ...], "rejects": [reject, ...]}` in the order of the dumps; raise NotFound for neither."""
    shards = shards_in_order(recipe)
    if not shards:
        raise NotFound(f"{recipe.root}: nothing has been extracted here yet; run the recipe first")
    if id is not None:
        refs, near = by_id(recipe.root, shards, id)
        rejects: list[dict[str, Any]] = []
    else:
        assert url is not None
        refs, near = by_url(recipe.root, shards, url)
        rejects = list(rejects_of(recipe.root, shards, url))
    if not refs and not rejects:
        asked = f"id {id}" if id is not None else f"address {url}"
        if id is not None and len(id) < LEAST_PREFIX:
            mend = f"; give at least {LEAST_PREFIX} characters of it"
        elif near:
            mend = "; near it:\n  " + "\n  ".join(near)
        else:
            mend = "; check its spelling, and that its dump is in the recipe"
        raise NotFound(f"{recipe.root}: no document has the {asked}{mend}")
    return {"documents": [asdict(trace) for trace in traces(recipe, shards, refs)], "rejects": rejects}


def traces(recipe: Recipe, shards: Sequence[ShardRef], refs: Sequence[RowRef]) -> Iterator[Trace]:
    """What happened to some documents."""
    root = recipe.root
    documents = read_rows(root, "documents", refs, DOCUMENT)

    def beside(kind: str) -> dict[RowRef, dict[str, Any]]:
        rows = read_rows(root, kind, refs)
        return {ref: row for ref, row in rows.items() if row["id"] == documents[ref]["id"]}

    verdicts, duplicates, domains = map(beside, ("verdicts", "duplicates", "domains"))
    measured = [beside(kind) for kind in signals.TABLES]
    spans = spans_at(recipe, refs)
    dropped = dropped_sites(root)
    for ref in refs:
        row = documents[ref]
        trace = Trace(row["id"], row["url"], ref.dump, f"{ref.shard.number:05d}.parquet", ref.row)
        date = row["date"]
        trace.extract = {key: row[key] for key in DOCUMENT[4:]} | {"date": date.isoformat() if date else None}
        values = {name: value for rows in measured for name, value in rows.get(ref, {}).items()}
        trace.filter = _filter(recipe, ref.dump, row, values, verdicts.get(ref))
        trace.dedup = _dedup(recipe, shards, duplicates.get(ref))
        trace.spans = spans.get(ref)
        trace.site = dropped.get(row["site"], [])
        trace.remix = _remix(recipe, domains.get(ref))
        trace.tokens = _tokens(root, trace)
        trace.outcome = _outcome(trace)
        yield trace


def _filter(
    recipe: Recipe, dump: str, document: dict[str, Any], measured: dict[str, Any], verdict: dict[str, Any] | None
) -> dict[str, Any] | None:
    if not measured and verdict is None:
        return None
    rules = rules_of_inputs(recipe).get(dump, "auto")
    parameters = verdict_parameters(recipe.filter)
    tables = parameters.bounds
    name = document["language"] if rules == "auto" else rules
    reasons = [] if verdict is None else verdict["reasons"]
    failed = {reason.split(" ", 1)[0] for reason in reasons}
    applies = rules != "none" and not any(reason.startswith("language") for reason in reasons)
    limits, always = table_for(name, tables), tables[ALWAYS]
    checks = []
    for signal, value in measured.items():
        if signal in signals.REGISTRY:
            bounds = always.get(signal, limits.get(signal) if applies else None)
            check = {"signal": signal, "value": value, "passes": None, "min": None, "max": None}
            if bounds is not None and verdict is not None:
                check |= {"passes": signal not in failed, "min": bounds.min, "max": bounds.max}
            checks.append(check)
    return {
        "keep": None if verdict is None else verdict["keep"],
        "reasons": reasons,
        "rules": rules,
        "table": name if name in tables or name == "none" else "default",
        "languages": list(parameters.languages),
        "language_score": parameters.language_score,
        "checks": checks,
        "matches": measured.get("matches") or [],  # items of benchmarks that the document holds
    }


def dropped_sites(root: str) -> dict[str | None, list[str]]:
    """The sites that were dropped whole, with the reasons."""
    path = storage.join(root, DROPPED)
    if not storage.exists(path):
        return {}
    rows = table.read_table(path)
    return dict(zip(rows["site"].to_pylist(), rows["reasons"].to_pylist()))


def _dedup(recipe: Recipe, shards: Sequence[ShardRef], row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    found: dict[str, Any] = {
        key: row[key] for key in ("keep", "level", "similarity", "cluster", "cluster_size", "cluster_dumps")
    }
    found["threshold"] = recipe.dedup.threshold
    found["duplicate_of"] = None
    if row["duplicate_of"] is not None:
        found["duplicate_of"] = {"id": row["duplicate_of"]} | _described(recipe, shards, row["duplicate_of"])
    found["members"] = list(_members(recipe.root, shards, row["cluster"], row["id"])) if row["cluster_size"] > 1 else []
    return found


def _described(recipe: Recipe, shards: Sequence[ShardRef], id: str) -> dict[str, Any]:
    """Address, dump and verdict of another document."""
    ref = find_ids(recipe.root, {id}, shards).get(id)
    if ref is None:
        return {"url": None, "dump": None, "passes_filters": None}
    document = read_rows(recipe.root, "documents", [ref], ["url"])[ref]
    verdict = read_rows(recipe.root, "verdicts", [ref], ["id", "keep"]).get(ref)
    passes = verdict["keep"] if verdict and verdict["id"] == id else None
    return {"url": document["url"], "dump": ref.dump, "passes_filters": passes}


def _members(root: str, shards: Sequence[ShardRef], cluster: str, id: str) -> Iterator[dict[str, Any]]:
    """The other documents of a cluster, up to MEMBERS of them."""
    refs: list[RowRef] = []
    for ref, names in columns(root, "duplicates", shards, "cluster", lambda low, high: low <= cluster <= high):
        refs += matches(ref, pc.equal(names, cluster))
        if len(refs) > MEMBERS:
            break
    documents = read_rows(root, "documents", refs, ["id", "url"])
    duplicates = read_rows(root, "duplicates", refs, ["id", "similarity"])
    for ref in refs[: MEMBERS + 1]:
        if documents[ref]["id"] == duplicates[ref]["id"] != id:
            yield documents[ref] | {"dump": ref.dump, "similarity": duplicates[ref]["similarity"]}


def _remix(recipe: Recipe, row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    found: dict[str, Any] = {key: row[key] for key in ("domain", "keep", "split")}
    plan = read_if_there(recipe.root, TOKEN_PLAN) or read_if_there(recipe.root, PLAN) or {"domains": []}
    domain: dict[str, Any] = next((part for part in plan["domains"] if part["domain"] == row["domain"]), {})
    return found | {key: domain.get(key) for key in ("weight", "epochs")}


def _tokens(root: str, trace: Trace) -> dict[str, Any] | None:
    """Where the document's tokens are: its shard, and the range of positions in it."""
    if trace.remix is None or not trace.remix["keep"]:
        return None
    kind = "validation" if trace.remix["split"] == "validation" else "tokens"
    folder = storage.join(root, kind, f"domain={trace.remix['domain']}")
    manifest = storage.join(folder, "manifest.json")
    if not storage.exists(manifest):
        return None
    for shard in storage.read_json(manifest)["shards"]:
        filesystem, inner = storage.filesystem(storage.join(folder, f"{shard['name']}.parquet"))
        rows = pq.read_table(inner, filters=pc.field("id") == trace.id, filesystem=filesystem, partitioning=None)
        for row in rows.to_pylist():
            if row["dump"] == trace.dump:
                name = f"{kind}/domain={trace.remix['domain']}/{shard['name']}.bin"
                return {"shard": name, "offset": row["offset"], "tokens": row["tokens"]}
    return None


def _outcome(trace: Trace) -> str:
    """What became of it, in one line."""
    if trace.dedup and trace.dedup["level"] == "takedown":
        return "taken down"
    if trace.filter and trace.filter["keep"] is False:
        also = ", and is a duplicate too" if trace.dedup and not trace.dedup["keep"] else ""
        return f"dropped by the filters{also}"
    if trace.dedup and not trace.dedup["keep"]:
        return f"removed as a duplicate ({trace.dedup['level']})"
    if trace.site:
        return f"dropped with its site: {trace.site[0]}"
    if trace.remix is None:
        return "extracted; the later stages have not run for it yet"
    if not trace.remix["keep"]:
        return "cut whole: what other documents do not have too is too little"
    if trace.tokens is not None:
        use = "held out for validation" if trace.remix["split"] == "validation" else "in the tokens to train on"
        return f"kept: {use}, in domain {trace.remix['domain']}"
    return f"kept, in the {trace.remix['split']} split of domain {trace.remix['domain']}; it has no tokens yet"
