"""The tables of a finished run: which shards of it are there, and single rows of them by position."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import HeadwaterError
from corpus.io import storage, table
from pipelines.config.inputs import CrawlInput, FilesInput
from pipelines.config.recipe import Recipe
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Upstream


class RowRef(NamedTuple):
    """A document by position: its shard and its row in it."""

    shard: ShardRef
    row: int

    @property
    def dump(self) -> str:
        """The dump or source."""
        return self.shard.dump


def listed(root: str, kind: str) -> list[ShardRef]:
    """The shards of a table that are there, sorted."""
    files = storage.list_files(storage.join(root, kind), ".parquet")
    return sorted(ShardRef.of(file.path) for file in files if "/dump=" in file.path)


def shards_of(root: str, kind: str, shards: Sequence[ShardRef]) -> list[ShardRef]:
    """Those of some shards for which a table is there, in their order."""
    there = set(listed(root, kind))
    return [shard for shard in shards if shard in there]


def dumps_of(shards: Sequence[ShardRef]) -> list[str]:
    """The dumps and sources of some shards, in order."""
    return list(dict.fromkeys(shard.dump for shard in shards))


def shards_in_order(recipe: Recipe) -> list[ShardRef]:
    """The shards that have documents or rejects, in the recipe's order.

    Where the recipe names no dumps, those found are taken, by name. Shards of files that the recipe no longer names are
    left out.
    """
    there: dict[str, list[ShardRef]] = {}
    for shard in sorted({*listed(recipe.root, "documents"), *listed(recipe.root, "rejects")}):
        there.setdefault(shard.dump, []).append(shard)
    chosen: dict[str, list[ShardRef]] = {}
    for item in recipe.inputs:
        planned = _planned(recipe, item)
        for dump in [item.name] if isinstance(item, FilesInput) else item.dumps or sorted(there):
            found = [shard for shard in there.get(dump, []) if planned is None or shard in planned]
            if dump in there:
                chosen.setdefault(dump, found)
    return [shard for shards in chosen.values() for shard in shards]


def _planned(recipe: Recipe, item: CrawlInput | FilesInput) -> set[ShardRef] | None:
    """The shards that an input becomes; None where that would take reading lists that are remote or gone."""
    if isinstance(item, CrawlInput) and storage.scheme(item.crawl) != "file":
        if not item.files:
            return None
        count = -(-item.files // item.files_per_shard)
        return {ShardRef(dump, number) for dump in item.dumps for number in range(count)}
    from pipelines.stages.extract import (
        ExtractStage,  # imports what extracts, which a report of a remote crawl needs not
    )

    try:
        return {task.shard for task in ExtractStage(recipe.root, recipe.extract, [item]).plan(Upstream())}
    except HeadwaterError:
        return None


def read_rows(
    root: str, kind: str, wanted: Iterable[RowRef], columns: list[str] | None = None
) -> dict[RowRef, dict[str, Any]]:
    """Some rows of a table; those that are not there are left out. Only the row groups that hold them are read."""
    by_shard: dict[ShardRef, set[int]] = {}
    for one in wanted:
        by_shard.setdefault(one.shard, set()).add(one.row)
    found: dict[RowRef, dict[str, Any]] = {}
    for shard, rows in by_shard.items():
        path = storage.join(root, shard.below(kind))
        if storage.exists(path):
            for first, part in _row_groups(path, rows, columns):
                for row in rows:
                    if first <= row < first + len(part):
                        found[RowRef(shard, row)] = part.slice(row - first, 1).to_pylist()[0]
    return found


def _row_groups(path: str, rows: set[int], columns: list[str] | None) -> Iterator[tuple[int, pa.Table]]:
    """The row groups that hold any of some rows, each with the number of its first row."""
    first = 0
    with table.open_shard(path) as file:
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if any(first <= row < first + size for row in rows):
                yield first, file.read_row_group(group, columns=columns)
            first += size


def find_ids(root: str, ids: set[str], shards: Sequence[ShardRef]) -> dict[str, RowRef]:
    """The rows of some documents, by id: one pass over the id columns, ended as soon as all are found."""
    found: dict[str, RowRef] = {}
    left = pa.array(sorted(ids), pa.string())
    for shard in shards_of(root, "documents", shards):
        if len(found) == len(ids):
            break
        column = table.read_table(storage.join(root, shard.below("documents")), columns=["id"])["id"]
        for row in pc.indices_nonzero(pc.is_in(column, left)).to_pylist():
            found.setdefault(column[row].as_py(), RowRef(shard, row))
    return found
