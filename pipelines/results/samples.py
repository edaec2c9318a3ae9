"""Documents for reading: kept ones, dropped ones by filter, near-duplicates beside their keeper, and rejected records.

They are chosen by the hash of their ids, so that no person picks them and every run shows the same.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.io import storage, table
from pipelines.engine.shard_ref import ShardRef
from pipelines.results.differences import differences, excerpt
from pipelines.results.shards import RowRef, find_ids, read_rows, shards_of
from pipelines.results.tally import Tally

DOCUMENT = ["id", "url", "site", "date", "language", "language_score", "length", "text"]
DUPLICATE = ["duplicate_of", "similarity", "cluster", "cluster_size", "cluster_dumps", "level"]
MEMBERS = 6  # further documents of a cluster that are named below a pair
REASONS = 12  # reasons that get samples, the most frequent first


def samples(root: str, tally: Tally, shards: Sequence[ShardRef]) -> dict[str, Any] | None:
    """The chosen documents with excerpts of their texts, by why they were chosen; None where there are none."""
    frequent = {reason for reason, _ in _first_reasons(tally)}
    chosen = {key: picked for key, picked in tally.samples.items() if key[0] != "filter" or key[1] in frequent}
    refs = {ref for picked in chosen.values() for _, ref in picked}
    if not refs:
        return None
    documents = read_rows(root, "documents", refs, DOCUMENT)
    judged = read_rows(root, "verdicts", refs, ["id", "reasons"])
    pairs = {ref for key, picked in chosen.items() if key[0] == "duplicate" for _, ref in picked}
    links = read_rows(root, "duplicates", pairs, DUPLICATE)
    others = find_ids(root, {link["duplicate_of"] for link in links.values() if link["duplicate_of"]}, shards)
    keepers = read_rows(root, "documents", set(others.values()), DOCUMENT)
    members = cluster_members(root, {link["cluster"] for link in links.values()}, shards)

    def card(ref: RowRef) -> dict[str, Any]:
        row = documents[ref]
        return _described(row, ref) | {
            "text": excerpt(row["text"]),
            "reasons": judged[ref]["reasons"] if ref in judged and judged[ref]["id"] == row["id"] else [],
        }

    def pair(ref: RowRef) -> dict[str, Any] | None:
        link, row = links[ref], documents[ref]
        where = others.get(link["duplicate_of"])
        if where is None:
            return None
        keeper = keepers[where]
        return {
            "dropped": _described(row, ref),
            "kept": _described(keeper, where),
            "level": link["level"],
            "similarity": link["similarity"],
            "cluster_size": link["cluster_size"],
            "cluster_dumps": link["cluster_dumps"],
            "members": [m for m in members.get(link["cluster"], []) if m["id"] not in (row["id"], keeper["id"])][
                :MEMBERS
            ],
            "differences": differences(keeper["text"], row["text"]),
        }

    groups: dict[str, Any] = {"kept": {}, "filtered": {}, "duplicates": []}
    for (kind, name), picked in sorted(chosen.items()):
        if kind == "duplicate":
            groups["duplicates"] += [found for _, ref in picked if (found := pair(ref))]
        elif picked:
            groups["kept" if kind == "kept" else "filtered"][name] = [card(ref) for _, ref in picked]
    groups["rejected"] = {reason: [row for _, row in picked] for reason, picked in sorted(tally.reject_samples.items())}
    return groups


def cluster_members(root: str, clusters: set[str], shards: Sequence[ShardRef]) -> dict[str, list[dict[str, Any]]]:
    """The first documents of some clusters with their similarity to the keeper, in the order of the dumps."""
    wanted = pa.array(sorted(clusters), pa.string())
    refs: dict[str, list[tuple[RowRef, float]]] = {}
    for shard in shards_of(root, "duplicates", shards):
        rows = table.read_table(storage.join(root, shard.below("duplicates")), ["cluster", "similarity"])
        for row in pc.indices_nonzero(pc.is_in(rows["cluster"], wanted)).to_pylist():
            found = refs.setdefault(rows["cluster"][row].as_py(), [])
            if len(found) < MEMBERS + 2:
                found.append((RowRef(shard, row), rows["similarity"][row].as_py() or 1.0))
    documents = read_rows(root, "documents", {p for found in refs.values() for p, _ in found}, ["id", "url"])
    return {
        cluster: [documents[ref] | {"dump": ref.dump, "similarity": value} for ref, value in found]
        for cluster, found in refs.items()
    }


def _first_reasons(tally: Tally) -> list[tuple[str, int]]:
    totals: dict[str, int] = {}
    for (_, reason), count in tally.reasons.items():
        totals[reason] = totals.get(reason, 0) + count
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:REASONS]


def _described(row: dict[str, Any], ref: RowRef) -> dict[str, Any]:
    date = row["date"]
    return {
        "id": row["id"],
        "url": row["url"],
        "dump": ref.dump,
        "date": date.strftime("%Y-%m-%d") if date else None,
        "language": row["language"],
        "bytes": row["length"],
    }
