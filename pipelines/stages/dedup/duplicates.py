"""`duplicates`: what became of every document, in the rows of documents/dump=D/N.parquet.

A document that shares no bucket with another is a cluster of one. The counts of each shard say in which dump its
clusters began, so the deduplication rate over the first k dumps, for every k, is a sum of counts.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.dedup.keepers import LEVELS, TAKEDOWN
from corpus.dedup.takedown import Rules, named_by, taken_down
from corpus.errors import CorruptShard
from corpus.io import table
from pipelines.engine.shapes import ShardStage
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.stages.dedup.keepers import KEEPER_SCHEMA
from pipelines.stages.numbering import Numbering

Rows = npt.NDArray[np.int64]
DUPLICATES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("keep", pa.bool_(), nullable=False),
        pa.field("level", pa.string()),  # why it is removed: exact, url, near or takedown
        pa.field("duplicate_of", pa.string()),  # the id of its keeper
        pa.field("similarity", pa.float32()),  # Jaccard similarity to its keeper
        pa.field("cluster", pa.string(), nullable=False),  # the id of the keeper, its own for a keeper
        pa.field("cluster_size", pa.int32(), nullable=False),  # documents the keeper stands for, itself included
        pa.field("cluster_dumps", pa.int32(), nullable=False),  # distinct dumps they are in
    ]
)


class DuplicateCounts(Counts, total=False):
    """What became of the documents of a shard."""

    kept: int
    kept_bytes: int
    removed: dict[str, int]  # by level
    clusters_by_first_dump: dict[str, int]  # by the index of a dump in the recipe's order
    clusters_by_size: dict[str, int]  # by a power of two: so many documents or more, and less than twice as many
    takedown: dict[str, int]  # documents that each rule names


class DuplicateParameters(BaseModel):
    """How shards are grouped, and which documents are in no cluster because they are taken down."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    takedown: Rules = Rules()


class DuplicateStage(ShardStage[DuplicateParameters]):
    """signatures + dedup/keepers_by_shard of its group -> duplicates/dump=D/N.parquet"""

    name: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 4
    folder: ClassVar[str] = "duplicates"
    phase: ClassVar[str] = "dedup"

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per shard, with the number of its first document and the index of its dump."""
        groups = {task.shard: task for task in upstream.whole("keepers_by_shard", len(upstream["exact_keys"]))}
        numbering = Numbering.of(upstream, "signatures")
        dumps = {dump: index for index, dump in enumerate(numbering.dumps())}
        return [
            self.task(
                task.shard.below(self.folder),
                [task, groups[task.shard.group(self.parameters.shards_per_group)]],
                first=numbering.spans[task.shard][0],
                dump=dumps[task.shard.dump],
            )
            for task in upstream["signatures"]
        ]

    def run(self, task: Task) -> DuplicateCounts:
        """Join the shard with its rows of `keepers`, checking ids, and write it."""
        path, source, takedown = self.path(task.one("signatures")), task.shard.dump, self.parameters.takedown
        signed = table.read_table(path, ["id", "length", "site", "url"]).combine_chunks()
        ids = signed["id"].combine_chunks() if len(signed) else pa.array([], pa.string())
        keepers = self._keepers(task, len(ids))
        rows = (keepers["number"].to_numpy() - np.uint64(task.arguments["first"])).astype(np.int64)
        if not ids.take(pa.array(rows)).equals(keepers["id"].combine_chunks()):
            raise CorruptShard(path, "its ids are not those that keepers were chosen from")
        gone = taken_down(signed, source, takedown)
        result = duplicates_table(ids, rows, keepers, gone)
        began = np.full(len(result), task.arguments["dump"])
        began[rows] = keepers["first_dump"].to_numpy()
        counts = _counts(result, began, signed["length"].to_numpy())
        counts["takedown"] = named_by(signed, source, takedown)
        with table.ShardWriter(self.path(task.output), DUPLICATES_SCHEMA) as writer:
            writer.write(result)
            writer.metadata = task.stamp(counts)
        return counts

    def _keepers(self, task: Task, documents: int) -> pa.Table:
        """The rows of `keepers` of the shard's documents that met another, by number."""
        if not documents:
            return KEEPER_SCHEMA.empty_table()
        first = task.arguments["first"]
        path = self.path(task.one("keepers_by_shard"))
        return table.read_between(path, "number", first, first + documents - 1).combine_chunks()


def duplicates_table(ids: pa.Array, rows: Rows, keepers: pa.Table, gone: npt.NDArray[np.bool_]) -> pa.Table:
    """The duplicates rows of documents `ids`, of which those at `rows` have the rows of `keepers` and those where
    `gone` are taken down."""
    total = len(ids)
    level = np.zeros(total, np.int8)
    level[rows] = keepers["level"].to_numpy()
    level[gone] = TAKEDOWN
    named = pa.array((level == 0) | gone)
    met = np.zeros(total, bool)
    met[rows] = True
    cluster = pc.replace_with_mask(ids, pa.array(met), keepers["keeper"].combine_chunks())
    similarity = np.ones(total, np.float32)
    similarity[rows] = keepers["similarity"].to_numpy()
    size, dumps = np.ones(total, np.int32), np.ones(total, np.int32)
    size[rows], dumps[rows] = keepers["size"].to_numpy(), keepers["dumps"].to_numpy()
    columns = [
        ids,
        pa.array(level == 0),
        pa.array([name or None for name in LEVELS], pa.string()).take(pa.array(level)),
        pc.if_else(named, None, cluster),
        pc.if_else(named, None, pa.array(similarity)),
        cluster,
        pa.array(size),
        pa.array(dumps),
    ]
    return pa.table(columns, DUPLICATES_SCHEMA)


def _counts(result: pa.Table, began: npt.NDArray[Any], length: npt.NDArray[Any]) -> DuplicateCounts:
    """The counts of duplicates rows; `began` is the index of the dump in which each document's cluster began."""
    keep = result["keep"].to_numpy()
    dumps, clusters = np.unique(began[keep], return_counts=True)
    powers, sizes = np.unique(np.log2(result["cluster_size"].to_numpy()[keep]).astype(int), return_counts=True)
    return {
        "documents": len(result),
        "bytes": int(length.sum()),
        "kept": int(keep.sum()),
        "kept_bytes": int(length[keep].sum()),
        "removed": {name: pc.sum(pc.equal(result["level"], name)).as_py() or 0 for name in LEVELS if name},
        "clusters_by_first_dump": {str(dump): int(count) for dump, count in zip(dumps, clusters)},
        "clusters_by_size": {str(1 << power): int(count) for power, count in zip(powers.tolist(), sizes)},
    }
