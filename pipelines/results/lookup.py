"""Finding a document by its id, or the beginning of one, or by its address.

One column is read, and of that only the row groups whose statistics admit what is looked for. An address that became no
document is looked for among the rejects.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.io import storage, table
from corpus.url import host, url_spellings
from pipelines.engine.shard_ref import ShardRef
from pipelines.results.shards import RowRef, shards_of

SUGGESTIONS = 5  # near matches shown for an address or id that is not there
LOOKED_AT = 5000  # addresses of the same host among which near matches are sought
LEAST_PREFIX = 4  # characters of an id that may stand for it


def columns(
    root: str, kind: str, shards: Sequence[ShardRef], column: str, admits: Callable[[str, str], bool]
) -> Iterator[tuple[RowRef, pa.Array]]:
    """One column of a table, a row group at a time with the position of its first row, where `admits(low, high)`."""
    for shard in shards_of(root, kind, shards):
        first = 0
        with table.open_shard(storage.join(root, shard.below(kind))) as file:
            index = file.schema_arrow.get_field_index(column)
            for group in range(file.num_row_groups):
                statistics = file.metadata.row_group(group).column(index).statistics
                if statistics is None or not statistics.has_min_max or admits(statistics.min, statistics.max):
                    yield RowRef(shard, first), file.read_row_group(group, [column])[column].combine_chunks()
                first += file.metadata.row_group(group).num_rows


def matches(first: RowRef, mask: pa.Array) -> list[RowRef]:
    """The rows that a mask of rows from `first` on chooses."""
    return [RowRef(first.shard, first.row + row) for row in pc.indices_nonzero(mask).to_pylist()]


def by_id(root: str, shards: Sequence[ShardRef], wanted: str) -> tuple[list[RowRef], list[str]]:
    """The documents with an id or the only one that begins so; where there is none, what is near it."""
    exact: list[RowRef] = []
    begins: dict[str, list[RowRef]] = {}
    for first, ids in columns(root, "documents", shards, "id", lambda low, high: low[: len(wanted)] <= wanted <= high):
        exact += matches(first, pc.equal(ids, wanted))
        for found in matches(first, pc.starts_with(ids, wanted)) if len(wanted) >= LEAST_PREFIX else []:
            begins.setdefault(ids[found.row - first.row].as_py(), []).append(found)
    if exact or len(begins) <= 1:
        return exact or [ref for found in begins.values() for ref in found], []
    return [], [f"{name} begins so too" for name in sorted(begins)[:SUGGESTIONS]]


def by_url(root: str, shards: Sequence[ShardRef], url: str) -> tuple[list[RowRef], list[str]]:
    """The documents with an address, however it is spelled; where there is none, the addresses near it."""
    written = url_spellings(url)
    found: list[RowRef] = []
    for first, urls in columns(
        root, "documents", shards, "url", lambda low, high: any(low <= other <= high for other in written)
    ):
        found += matches(first, pc.is_in(urls, pa.array(written)))
    return found, [] if found else _near_urls(root, shards, url)


def _near_urls(root: str, shards: Sequence[ShardRef], url: str) -> list[str]:
    name = host(url) or url
    found: set[str] = set()
    for kind in ("documents", "rejects"):
        for _, urls in columns(root, kind, shards, "url", lambda low, high: True):
            found.update(urls.filter(pc.fill_null(pc.match_substring(urls, name), False)).to_pylist())
            if len(found) >= LOOKED_AT:
                break
    return difflib.get_close_matches(url, sorted(found), n=SUGGESTIONS, cutoff=0.3)


def rejects_of(root: str, shards: Sequence[ShardRef], url: str) -> Iterator[dict[str, Any]]:
    """The rejected records with an address."""
    written = url_spellings(url)
    for shard in shards_of(root, "rejects", shards):
        filesystem, inner = storage.filesystem(storage.join(root, shard.below("rejects")))
        rows = pq.read_table(inner, filters=pc.field("url").isin(written), filesystem=filesystem, partitioning=None)
        yield from ({"dump": shard.dump, **row} for row in rows.to_pylist())
