"""Documents for reading: some that were kept, some that each filter dropped, near-duplicates beside what they
duplicate, and records that were rejected. They are chosen by the hash of their ids, so nobody picks them and every run
shows the same."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.io import storage, table
from pipelines.report.scan import Place, Shards, Tally, shards_of
from pipelines.report.texts import differences, excerpt, find_ids, read_places

DOCUMENT = ["id", "url", "site", "date", "language", "language_score", "length", "text"]
DUPLICATE = ["duplicate_of", "similarity", "cluster", "cluster_size", "cluster_dumps", "level"]
MEMBERS = 6  # further documents of a cluster that are named below a pair
REASONS = 12  # reasons that get samples, the most frequent first


def samples(root: str, tally: Tally, dumps: Shards) -> dict[str, Any] | None:
    """The chosen documents with excerpts of their texts, by why they were chosen; None where there are none."""
    frequent = {reason for reason, _ in _first_reasons(tally)}
    chosen = {key: picked for key, picked in tally.samples.items() if key[0] != "filter" or key[1] in frequent}
    places = {place for picked in chosen.values() for _, place in picked}
    if not places:
        return None
    documents = read_places(root, "documents", places, DOCUMENT)
    judged = read_places(root, "verdicts", places, ["id", "reasons"])
    pairs = {place for key, picked in chosen.items() if key[0] == "duplicate" for _, place in picked}
    links = read_places(root, "duplicates", pairs, DUPLICATE)
    others = find_ids(root, {link["duplicate_of"] for link in links.values() if link["duplicate_of"]}, dumps)
    keepers = read_places(root, "documents", set(others.values()), DOCUMENT)
    members = cluster_members(root, {link["cluster"] for link in links.values()}, dumps)

    def card(place: Place) -> dict[str, Any]:
        row = documents[place]
        return _described(row, place) | {
            "text": excerpt(row["text"]),
            "reasons": judged[place]["reasons"] if place in judged and judged[place]["id"] == row["id"] else [],
        }

    def pair(place: Place) -> dict[str, Any] | None:
        link, row = links[place], documents[place]
        where = others.get(link["duplicate_of"])
        if where is None:
            return None
        keeper = keepers[where]
        return {
            "dropped": _described(row, place),
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
            groups["duplicates"] += [found for _, place in picked if (found := pair(place))]
        elif picked:
            groups["kept" if kind == "kept" else "filtered"][name] = [card(place) for _, place in picked]
    groups["rejected"] = {reason: [row for _, row in picked] for reason, picked in sorted(tally.reject_samples.items())}
    return groups


def cluster_members(root: str, clusters: set[str], dumps: Shards) -> dict[str, list[dict[str, Any]]]:
    """The first documents of some clusters with their similarity to the keeper, in the order of the dumps."""
    wanted = pa.array(sorted(clusters), pa.string())
    places: dict[str, list[tuple[Place, float]]] = {}
    for dump, name in shards_of(root, "duplicates", dumps):
        rows = table.read_table(storage.join(root, "duplicates", f"dump={dump}", name), ["cluster", "similarity"])
        for row in pc.indices_nonzero(pc.is_in(rows["cluster"], wanted)).to_pylist():
            found = places.setdefault(rows["cluster"][row].as_py(), [])
            if len(found) < MEMBERS + 2:
                found.append((Place(dump, name, row), rows["similarity"][row].as_py() or 1.0))
    documents = read_places(root, "documents", {p for found in places.values() for p, _ in found}, ["id", "url"])
    return {
        cluster: [documents[place] | {"dump": place.dump, "similarity": value} for place, value in found]
        for cluster, found in places.items()
    }


def _first_reasons(tally: Tally) -> list[tuple[str, int]]:
    totals: dict[str, int] = {}
    for (_, reason), count in tally.reasons.items():
        totals[reason] = totals.get(reason, 0) + count
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:REASONS]


def _described(row: dict[str, Any], place: Place) -> dict[str, Any]:
    date = row["date"]
    return {
        "id": row["id"],
        "url": row["url"],
        "dump": place.dump,
        "date": date.strftime("%Y-%m-%d") if date else None,
        "language": row["language"],
        "bytes": row["length"],
    }
