"""One pass over the tables of a run, shard by shard, that leaves only small tallies behind.

Texts are not read here: a shard gives its ids, sites, languages and lengths, and the verdict, duplicate and domain
columns beside them. An annotation counts only where its ids are those of the documents it stands beside. One that was
made for other documents, because its stage has not been run again yet, is as good as absent.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus.errors import CorruptShard
from corpus.io import storage, table
from pipelines.engine.shard_ref import ShardRef
from pipelines.results.shards import RowRef, shards_of

ANNOTATIONS = {
    "verdicts": ["id", "keep", "reasons"],
    "duplicates": ["id", "keep", "level", "duplicate_of", "similarity", "cluster", "cluster_size", "cluster_dumps"],
    "domains": ["id", "domain", "keep", "split"],
}
SUMS = [
    f"{stage}{unit}" for stage in ("extracted", "unique", "passed", "kept", "training") for unit in ("", "_bytes")
] + ["filtered", "duplicate"]
SAMPLES = {"kept": 4, "filter": 3, "near": 6, "url": 2, "reject": 3}  # how many of each category are shown for reading
_COMPACT = 200_000  # rows of partial sums that are added up again before going on


@dataclass
class Tally:
    """What the pass leaves. `sums` has one row for each dump, language and site, with the columns of SUMS."""

    sums: pa.Table | None = None
    shards: Counter[str] = field(default_factory=Counter)  # documents, and each annotation that matches them
    rejects: dict[str, Counter[str]] = field(default_factory=dict)  # by dump: reason -> records
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)  # (language, reason) -> documents
    first_reasons: Counter[str] = field(default_factory=Counter)  # documents by the first rule they failed
    sole_reasons: Counter[str] = field(default_factory=Counter)  # documents that failed nothing else
    levels: dict[str, Counter[str]] = field(default_factory=dict)  # by dump: duplicates by level
    cluster_sizes: Counter[int] = field(default_factory=Counter)  # size -> clusters
    cluster_dumps: Counter[int] = field(default_factory=Counter)  # dumps a cluster spans -> clusters
    similarities: Counter[int] = field(default_factory=Counter)  # verified similarity in percent -> duplicates
    domains: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (dump, domain, language) -> kept
    samples: dict[tuple[str, str], list[tuple[int, RowRef]]] = field(default_factory=dict)
    reject_samples: dict[str, list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)


def scan(root: str, shards: Sequence[ShardRef]) -> Tally:
    """Tally the tables of these shards, in this order; raise CorruptShard for a table that cannot be read."""
    tally = Tally()
    partial: list[pa.Table] = []
    for shard in shards_of(root, "documents", shards):
        partial.append(_scan_shard(root, shard, tally))
        if sum(len(item) for item in partial) > _COMPACT:
            partial = [_add_up(partial)]
    for shard in shards_of(root, "rejects", shards):
        _scan_rejects(storage.join(root, shard.below("rejects")), shard.dump, tally)
    tally.sums = _add_up(partial) if partial else None
    return tally


def _add_up(parts: list[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(parts)
    added = whole.group_by(["dump", "language", "site"]).aggregate([(name, "sum") for name in SUMS])
    return added.rename_columns([name.removesuffix("_sum") for name in added.column_names]).select(whole.column_names)


def _annotation(root: str, kind: str, shard: ShardRef, ids: pa.ChunkedArray) -> pa.Table | None:
    path = storage.join(root, shard.below(kind))
    try:
        found = table.read_table(path, columns=ANNOTATIONS[kind])
    except FileNotFoundError:
        return None
    if missing := [name for name in ANNOTATIONS[kind] if name not in found.column_names]:
        raise CorruptShard(path, f"it has no column {missing[0]}")
    same = len(found) == len(ids) and found["id"].combine_chunks().equals(ids.combine_chunks())
    return found if same else None


def _scan_shard(root: str, shard: ShardRef, tally: Tally) -> pa.Table:
    path = storage.join(root, shard.below("documents"))
    documents = table.read_table(path, columns=["id", "site", "language", "length"])
    ids, count = documents["id"], len(documents)
    beside = {kind: _annotation(root, kind, shard, ids) for kind in ANNOTATIONS}
    tally.shards.update(["documents", *(kind for kind, found in beside.items() if found is not None)])
    verdicts, duplicates, domains = beside["verdicts"], beside["duplicates"], beside["domains"]
    everything = np.ones(count, bool)
    passed = _booleans(verdicts, "keep", everything)
    distinct = _booleans(duplicates, "keep", everything)
    both = distinct & passed
    kept = _booleans(domains, "keep", both)
    training = kept & (_strings(domains, "split") == "train") if domains is not None else kept & False
    length = documents["length"].to_numpy()
    columns: dict[str, Any] = {
        "dump": pa.array([shard.dump] * count, pa.string()),
        "language": documents["language"],
        "site": pc.fill_null(documents["site"], f"({shard.dump})"),
    }
    stages = {"extracted": everything, "unique": distinct, "passed": both, "kept": kept, "training": training}
    for stage, mask in stages.items():
        columns[stage] = mask.astype(np.int64)
        columns[f"{stage}_bytes"] = np.where(mask, length, 0)
    columns["filtered"] = (~passed).astype(np.int64)
    columns["duplicate"] = (~distinct).astype(np.int64)
    languages = np.asarray(documents["language"].to_pylist(), object)
    hashes = np.fromiter((xxhash.xxh3_64_intdigest(item.encode()) for item in ids.to_pylist()), np.uint64, count)
    if verdicts is not None:
        _count_reasons(verdicts, languages, tally)
        _pick_reasons(verdicts, ~passed, hashes, shard, tally)
    if duplicates is not None:
        _count_duplicates(duplicates, shard.dump, tally)
        levels = _strings(duplicates, "level")
        for level in ("near", "url"):
            _pick(("duplicate", level), SAMPLES[level], ~distinct & (levels == level), hashes, shard, tally)
    if domains is not None:
        domain = _strings(domains, "domain")
        for key, number in Counter(zip(domain[kept], languages[kept])).items():
            tally.domains[(shard.dump, *key)] += number
        for key in sorted(set(domain[kept])):
            _pick(("kept", key), SAMPLES["kept"], kept & (domain == key), hashes, shard, tally)
    else:
        for language in sorted(set(languages[kept])):
            _pick(("kept", language), SAMPLES["kept"], kept & (languages == language), hashes, shard, tally)
    return pa.table(columns)


def _booleans(found: pa.Table | None, column: str, otherwise: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return otherwise if found is None else found[column].to_numpy(zero_copy_only=False).astype(bool)


def _strings(found: pa.Table, column: str) -> npt.NDArray[np.object_]:
    return np.asarray(found[column].to_pylist(), object)


def _count_reasons(verdicts: pa.Table, languages: npt.NDArray[np.object_], tally: Tally) -> None:
    reasons = verdicts["reasons"].combine_chunks()
    flat, parents = pc.list_flatten(reasons).to_pylist(), pc.list_parent_indices(reasons).to_numpy()
    tally.reasons.update(zip(languages[parents], map(rule_of, flat)))
    alone = pc.equal(pc.list_value_length(reasons), 1)
    tally.sole_reasons.update(map(rule_of, pc.list_flatten(reasons.filter(alone)).to_pylist()))


def rule_of(reason: str) -> str:
    """The rule that a reason is about, without the document's own value: `words 12 < 50` -> `words < 50`."""
    signal, _, rest = reason.partition(" ")
    return f"{signal} {rest.partition(' ')[2]}".strip()


def _pick_reasons(
    verdicts: pa.Table,
    dropped: npt.NDArray[np.bool_],
    hashes: npt.NDArray[np.uint64],
    shard: ShardRef,
    tally: Tally,
) -> None:
    first = np.asarray([rule_of((reasons or [""])[0]) for reasons in verdicts["reasons"].to_pylist()], object)
    tally.first_reasons.update(first[dropped].tolist())
    for reason in sorted(set(first[dropped])):
        _pick(("filter", reason), SAMPLES["filter"], dropped & (first == reason), hashes, shard, tally)


def _count_duplicates(duplicates: pa.Table, dump: str, tally: Tally) -> None:
    levels = Counter(level for level in duplicates["level"].to_pylist() if level is not None)
    tally.levels.setdefault(dump, Counter()).update(levels)
    canonical = duplicates.filter(duplicates["keep"])  # a document that is taken down stands for no cluster
    tally.cluster_sizes.update(canonical["cluster_size"].to_pylist())
    tally.cluster_dumps.update(canonical["cluster_dumps"].to_pylist())
    near = duplicates.filter(pc.equal(duplicates["level"], "near"))["similarity"].drop_null().to_numpy()
    tally.similarities.update(np.floor(near * 100 + 1e-6).astype(int).tolist())


def _pick(
    key: tuple[str, str],
    number: int,
    mask: npt.NDArray[np.bool_],
    hashes: npt.NDArray[np.uint64],
    shard: ShardRef,
    tally: Tally,
) -> None:
    """Keep the documents of a category whose ids have the smallest hashes: a random sample, the same in every run."""
    rows = np.flatnonzero(mask)
    rows = rows[np.argsort(hashes[rows], kind="stable")[:number]]
    fresh = [(int(hashes[row]), RowRef(shard, int(row))) for row in rows]
    tally.samples[key] = heapq.nsmallest(number, tally.samples.get(key, []) + fresh)


def _scan_rejects(path: str, dump: str, tally: Tally) -> None:
    rows = table.read_table(path, columns=["file", "offset", "url", "reason", "detail"])
    counts = tally.rejects.setdefault(dump, Counter())
    counts.update(rows["reason"].to_pylist())
    for reason in sorted(set(rows["reason"].to_pylist())):
        group = rows.filter(pc.equal(rows["reason"], reason)).slice(0, 100)
        fresh = [
            (xxhash.xxh3_64_intdigest(f"{row['file']} {row['offset']}".encode()), row | {"dump": dump})
            for row in group.to_pylist()
        ]
        merged = tally.reject_samples.get(reason, []) + fresh
        tally.reject_samples[reason] = sorted(merged, key=lambda item: item[0])[: SAMPLES["reject"]]
