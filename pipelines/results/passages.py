"""What deduplication at string level cuts from the documents that are kept, with examples to judge it by.

The figures are the sums of what the shards' footers count. The examples are spans of the documents whose ids have the
smallest hashes, so they are not picked by hand. Each stands between the words before and after it, which stay."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import xxhash

from corpus.io import storage, table
from corpus.passages.cuts import KINDS
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stamps import add_counts
from pipelines.results.shards import RowRef, read_rows, shards_of

CHOSEN = 24  # documents of a kind among which examples are sought
SHOWN = 4  # examples of a kind in a language
AROUND = 80  # characters shown before and after a span
SPAN = 700  # characters of a span that are shown


def passages(root: str, shards: Sequence[ShardRef]) -> dict[str, Any] | None:
    """Kept documents and bytes, and what is cut of them by kind, by language and by dump; examples. None before it ran.

    `examples` is `{kind: {language: [{"id", "url", "dump", "before", "cut", "after"}, ...]}}`.
    """
    languages: dict[str, Any] = {}
    by_dump: dict[str, Any] = {}
    for shard in shards_of(root, "passages", shards):
        dump = shard.dump
        counts = table.require_metadata(storage.join(root, shard.below("passages")))["counts"]
        add_counts(languages, counts["languages"])
        of = by_dump.setdefault(dump, {"dump": dump, "documents": 0, "bytes": 0, "cut": dict.fromkeys(KINDS, 0)})
        of["documents"] += counts["documents"]
        of["bytes"] += counts["bytes"]
        for part in counts["languages"].values():
            for kind in KINDS:
                of["cut"][kind] += part["cut"][kind]["bytes"]
    if not by_dump:
        return None
    ranked = sorted(languages.items(), key=lambda item: (-item[1]["bytes"], item[0]))
    return {
        "kinds": list(KINDS),
        "languages": [{"language": name} | part for name, part in ranked],
        "dumps": list(by_dump.values()),
        "examples": _examples(root, shards),
    }


def _examples(root: str, shards: Sequence[ShardRef]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    chosen: dict[str, list[tuple[int, RowRef]]] = {}
    for shard in shards_of(root, "passages", shards):
        for key, kind, row in _cut_rows(storage.join(root, shard.below("passages"))):
            picked = chosen.setdefault(kind, [])
            heapq.heappush(picked, (-key, RowRef(shard, row)))
            if len(picked) > CHOSEN:
                heapq.heappop(picked)
    refs = {ref for picked in chosen.values() for _, ref in picked}
    documents = read_rows(root, "documents", refs, ["id", "url", "language", "text"])
    rows = read_rows(root, "passages", refs)
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for kind in (kind for kind in KINDS if kind in chosen):
        for _, ref in sorted(chosen[kind], reverse=True):
            document = documents[ref]
            shown = found.setdefault(kind, {}).setdefault(document["language"], [])
            if len(shown) < SHOWN and document["id"] == rows[ref]["id"]:
                span = next(span for span in rows[ref]["spans"] if span["kind"] == kind)
                about = {"id": document["id"], "url": document["url"], "dump": ref.dump}
                shown.append(about | _excerpt(document["text"].encode(), span["start"], span["end"]))
    return found


def _cut_rows(path: str) -> Iterator[tuple[int, str, int]]:
    """(hash of the id, kind, row) of the rows of a shard that have spans, once for each kind."""
    first = 0
    for rows in table.iter_batches(path):
        for number, spans in enumerate(rows["spans"].to_pylist()):
            if spans:
                key = xxhash.xxh3_64_intdigest(rows["id"][number].as_py().encode())
                yield from ((key, kind, first + number) for kind in sorted({span["kind"] for span in spans}))
        first += len(rows)


def _excerpt(text: bytes, start: int, end: int) -> dict[str, str]:
    before, cut, after = (part.decode() for part in (text[:start], text[start:end], text[end:]))
    cut = cut if len(cut) <= SPAN else f"{cut[: SPAN - 100]} … {cut[-97:]}"
    return {"before": before[-AROUND:], "cut": cut, "after": after[:AROUND]}
