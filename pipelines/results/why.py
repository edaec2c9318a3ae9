"""The fate of a document: what every stage measured of it and decided, with the thresholds that decided.

A document is found by its id (or the beginning of one) or by its address, reading one column, and of that only the row
groups whose statistics admit it. Everything else about it is then read from the row groups that hold its row, and used
only where the id there is its own. An address that became no document is looked for among the rejects."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import signals
from corpus.errors import HeadwaterError
from corpus.io import storage, table
from corpus.linguistic.thresholds import ALWAYS, Bounds, table_for
from corpus.url import host, url_spellings
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe
from pipelines.report.data import shards_in_order
from pipelines.report.scan import Place, Shards, shards_of
from pipelines.report.texts import find_ids, read_places
from pipelines.results.why_spans import spans_at
from pipelines.stages.filter.stages import verdict_parameters
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
SUGGESTIONS = 5  # near matches shown for an address or id that is not there
LOOKED_AT = 5000  # addresses of the same host among which near matches are sought
MEMBERS = 20  # documents of a cluster that are listed
LEAST_PREFIX = 4  # characters of an id that may stand for it


class NotFound(HeadwaterError):
    """No document and no reject is what was asked for; the message names near matches."""


@dataclass
class Fate:
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
    """`{"documents": [fate, ...], "rejects": [reject, ...]}` in the order of the dumps; raise NotFound for neither."""
    dumps = shards_in_order(recipe)
    if not dumps:
        raise NotFound(f"{recipe.root}: nothing has been extracted here yet; run the recipe first")
    if id is not None:
        places, near = _by_id(recipe.root, dumps, id)
        rejects: list[dict[str, Any]] = []
    else:
        assert url is not None
        places, near = _by_url(recipe.root, dumps, url)
        rejects = list(_rejects(recipe.root, dumps, url_spellings(url)))
    if not places and not rejects:
        asked = f"id {id}" if id is not None else f"address {url}"
        if id is not None and len(id) < LEAST_PREFIX:
            mend = f"; give at least {LEAST_PREFIX} characters of it"
        elif near:
            mend = "; near it:\n  " + "\n  ".join(near)
        else:
            mend = "; check its spelling, and that its dump is in the recipe"
        raise NotFound(f"{recipe.root}: no document has the {asked}{mend}")
    return {"documents": [asdict(fate) for fate in fates(recipe, dumps, places)], "rejects": rejects}


def _columns(root: str, kind: str, dumps: Shards, column: str, admits: Any) -> Iterator[tuple[Place, pa.Array]]:
    """One column of a table, a row group at a time with the place of its first row, where `admits(low, high)`."""
    for dump, name in shards_of(root, kind, dumps):
        first = 0
        with table.open_shard(storage.join(root, kind, f"dump={dump}", name)) as file:
            index = file.schema_arrow.get_field_index(column)
            for group in range(file.num_row_groups):
                statistics = file.metadata.row_group(group).column(index).statistics
                if statistics is None or not statistics.has_min_max or admits(statistics.min, statistics.max):
                    yield Place(dump, name, first), file.read_row_group(group, [column])[column].combine_chunks()
                first += file.metadata.row_group(group).num_rows


def _matches(place: Place, mask: pa.Array) -> list[Place]:
    return [Place(place.dump, place.shard, place.row + row) for row in pc.indices_nonzero(mask).to_pylist()]


def _by_id(root: str, dumps: Shards, wanted: str) -> tuple[list[Place], list[str]]:
    exact: list[Place] = []
    begins: dict[str, list[Place]] = {}
    for place, ids in _columns(root, "documents", dumps, "id", lambda low, high: low[: len(wanted)] <= wanted <= high):
        exact += _matches(place, pc.equal(ids, wanted))
        for found in _matches(place, pc.starts_with(ids, wanted)) if len(wanted) >= LEAST_PREFIX else []:
            begins.setdefault(ids[found.row - place.row].as_py(), []).append(found)
    if exact or len(begins) <= 1:
        return exact or [place for found in begins.values() for place in found], []
    return [], [f"{name} begins so too" for name in sorted(begins)[:SUGGESTIONS]]


def _by_url(root: str, dumps: Shards, url: str) -> tuple[list[Place], list[str]]:
    written = url_spellings(url)
    places: list[Place] = []
    for place, urls in _columns(
        root, "documents", dumps, "url", lambda low, high: any(low <= other <= high for other in written)
    ):
        places += _matches(place, pc.is_in(urls, pa.array(written)))
    return places, [] if places else _near_urls(root, dumps, url)


def _near_urls(root: str, dumps: Shards, url: str) -> list[str]:
    name = host(url) or url
    found: set[str] = set()
    for kind in ("documents", "rejects"):
        for _, urls in _columns(root, kind, dumps, "url", lambda low, high: True):
            found.update(urls.filter(pc.fill_null(pc.match_substring(urls, name), False)).to_pylist())
            if len(found) >= LOOKED_AT:
                break
    return difflib.get_close_matches(url, sorted(found), n=SUGGESTIONS, cutoff=0.3)


def _rejects(root: str, dumps: Shards, written: Sequence[str]) -> Iterator[dict[str, Any]]:
    for dump, name in shards_of(root, "rejects", dumps):
        filesystem, inner = storage.filesystem(storage.join(root, "rejects", f"dump={dump}", name))
        rows = pq.read_table(inner, filters=pc.field("url").isin(written), filesystem=filesystem, partitioning=None)
        yield from ({"dump": dump, **row} for row in rows.to_pylist())


def fates(recipe: Recipe, dumps: Shards, places: Sequence[Place]) -> Iterator[Fate]:
    """The fate of the documents at some places."""
    root = recipe.root
    documents = read_places(root, "documents", places, DOCUMENT)

    def beside(kind: str) -> dict[Place, dict[str, Any]]:
        rows = read_places(root, kind, places)
        return {place: row for place, row in rows.items() if row["id"] == documents[place]["id"]}

    verdicts, duplicates, domains = map(beside, ("verdicts", "duplicates", "domains"))
    measured = [beside(kind) for kind in signals.TABLES]
    spans = spans_at(recipe, places)
    dropped = dropped_sites(root)
    for place in places:
        row = documents[place]
        fate = Fate(row["id"], row["url"], place.dump, place.shard, place.row)
        date = row["date"]
        fate.extract = {key: row[key] for key in DOCUMENT[4:]} | {"date": date.isoformat() if date else None}
        values = {name: value for rows in measured for name, value in rows.get(place, {}).items()}
        fate.filter = _filter(recipe, place.dump, row, values, verdicts.get(place))
        fate.dedup = _dedup(recipe, dumps, duplicates.get(place))
        fate.spans = spans.get(place)
        fate.site = dropped.get(row["site"], [])
        fate.remix = _remix(recipe, domains.get(place))
        fate.tokens = _tokens(root, fate)
        fate.outcome = _outcome(fate)
        yield fate


def _filter(
    recipe: Recipe, dump: str, document: dict[str, Any], measured: dict[str, Any], verdict: dict[str, Any] | None
) -> dict[str, Any] | None:
    if not measured and verdict is None:
        return None
    inputs = {n: i.rules for i in recipe.inputs for n in (i.dumps if isinstance(i, CrawlInput) else [i.name])}
    rules = inputs.get(dump, "auto")
    parameters = verdict_parameters(recipe.filter)
    name = document["language"] if rules == "auto" else rules
    reasons = [] if verdict is None else verdict["reasons"]
    failed = {reason.split(" ", 1)[0] for reason in reasons}
    applies = rules != "none" and not any(reason.startswith("language") for reason in reasons)
    limits = table_for(name, {n: {s: Bounds(*b) for s, b in rows.items()} for n, rows in parameters.tables.items()})
    always = {signal: Bounds(*b) for signal, b in parameters.tables[ALWAYS].items()}
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
        "table": name if name in parameters.tables or name == "none" else "default",
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


def _dedup(recipe: Recipe, dumps: Shards, row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    found: dict[str, Any] = {
        key: row[key] for key in ("keep", "level", "similarity", "cluster", "cluster_size", "cluster_dumps")
    }
    found["threshold"] = recipe.dedup.threshold
    found["duplicate_of"] = None
    if row["duplicate_of"] is not None:
        found["duplicate_of"] = {"id": row["duplicate_of"]} | _described(recipe, dumps, row["duplicate_of"])
    found["members"] = list(_members(recipe.root, dumps, row["cluster"], row["id"])) if row["cluster_size"] > 1 else []
    return found


def _described(recipe: Recipe, dumps: Shards, id: str) -> dict[str, Any]:
    """Address, dump and verdict of another document."""
    place = find_ids(recipe.root, {id}, dumps).get(id)
    if place is None:
        return {"url": None, "dump": None, "passes_filters": None}
    document = read_places(recipe.root, "documents", [place], ["url"])[place]
    verdict = read_places(recipe.root, "verdicts", [place], ["id", "keep"]).get(place)
    passes = verdict["keep"] if verdict and verdict["id"] == id else None
    return {"url": document["url"], "dump": place.dump, "passes_filters": passes}


def _members(root: str, dumps: Shards, cluster: str, id: str) -> Iterator[dict[str, Any]]:
    """The other documents of a cluster, up to MEMBERS of them."""
    places: list[Place] = []
    for place, names in _columns(root, "duplicates", dumps, "cluster", lambda low, high: low <= cluster <= high):
        places += _matches(place, pc.equal(names, cluster))
        if len(places) > MEMBERS:
            break
    documents = read_places(root, "documents", places, ["id", "url"])
    fates = read_places(root, "duplicates", places, ["id", "similarity"])
    for place in places[: MEMBERS + 1]:
        if documents[place]["id"] == fates[place]["id"] != id:
            yield documents[place] | {"dump": place.dump, "similarity": fates[place]["similarity"]}


def _remix(recipe: Recipe, row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    found: dict[str, Any] = {key: row[key] for key in ("domain", "keep", "split")}
    for name in ("mixture/tokens.json", "mixture/plan.json"):
        path = storage.join(recipe.root, name)
        if storage.exists(path):
            domains = {part["domain"]: part for part in storage.read_json(path)["domains"]}
            plan = domains.get(row["domain"], {})
            return found | {key: plan.get(key) for key in ("weight", "epochs")}
    return found | {"weight": None, "epochs": None}


def _tokens(root: str, fate: Fate) -> dict[str, Any] | None:
    """Where the document's tokens are: its shard, and the range of positions in it."""
    if fate.remix is None or not fate.remix["keep"]:
        return None
    kind = "validation" if fate.remix["split"] == "validation" else "tokens"
    folder = storage.join(root, kind, f"domain={fate.remix['domain']}")
    manifest = storage.join(folder, "manifest.json")
    if not storage.exists(manifest):
        return None
    for shard in storage.read_json(manifest)["shards"]:
        filesystem, inner = storage.filesystem(storage.join(folder, f"{shard['name']}.parquet"))
        rows = pq.read_table(inner, filters=pc.field("id") == fate.id, filesystem=filesystem, partitioning=None)
        for row in rows.to_pylist():
            if row["dump"] == fate.dump:
                name = f"{kind}/domain={fate.remix['domain']}/{shard['name']}.bin"
                return {"shard": name, "offset": row["offset"], "tokens": row["tokens"]}
    return None


def _outcome(fate: Fate) -> str:
    """The fate in one line."""
    if fate.dedup and fate.dedup["level"] == "takedown":
        return "taken down"
    if fate.filter and fate.filter["keep"] is False:
        also = ", and is a duplicate too" if fate.dedup and not fate.dedup["keep"] else ""
        return f"dropped by the filters{also}"
    if fate.dedup and not fate.dedup["keep"]:
        return f"removed as a duplicate ({fate.dedup['level']})"
    if fate.site:
        return f"dropped with its site: {fate.site[0]}"
    if fate.remix is None:
        return "extracted; the later stages have not run for it yet"
    if not fate.remix["keep"]:
        return "cut whole: what other documents do not have too is too little"
    if fate.tokens is not None:
        use = "held out for validation" if fate.remix["split"] == "validation" else "in the tokens to train on"
        return f"kept: {use}, in domain {fate.remix['domain']}"
    return f"kept, in the {fate.remix['split']} split of domain {fate.remix['domain']}; it has no tokens yet"
