"""`keepers_by_shard`: the rows of `keepers`, brought back in the order of documents.

A file per group of shards, so that the last stage opens one file for a shard and not one for each partition of keepers.
"""

from typing import ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.io.range_shuffle import Exchange
from corpus.io.sorted_runs import RunWriter
from pipelines.engine.shapes import GroupStage, gathered
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.stages.dedup.keepers import KEEPER_SCHEMA
from pipelines.stages.dedup.partitions import all_partitions
from pipelines.stages.numbering import Numbering

ROWS_PER_GROUP = 1 << 14  # less than most shards have
COPIES = 3  # rows read, joined, sorted


class KeeperByShardParameters(BaseModel):
    """How shards are grouped, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    budget: int


class KeeperByShardStage(GroupStage[KeeperByShardParameters]):
    """dedup/keepers/** -> dedup/keepers_by_shard/dump=D/G.parquet: the same rows, by number"""

    name: ClassVar[str] = "keepers_by_shard"
    folder: ClassVar[str] = "dedup/keepers_by_shard"
    phase: ClassVar[str] = "dedup"

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per group of shards, over all keepers, with the numbers of its documents."""
        keepers = all_partitions(upstream, "keepers")
        every = gathered(keepers, "dedup/keepers")
        groups = Numbering.of(upstream, "signatures").groups(self.shards_per_group)
        return [
            self.task(group.below(self.folder), [every], span=span, partitions=len(keepers))
            for group, span in groups.items()
        ]

    def run(self, task: Task) -> Counts:
        """Gather the group's documents from all partitions."""
        first, size = task.arguments["span"]
        folder = self.path(task.one("keepers"))
        paths = [f"{folder}/{part:05d}.parquet" for part in range(task.arguments["partitions"])] if size else []
        exchange = Exchange(paths, "number", first, first + max(size, 1) - 1)
        with RunWriter(self.path(task.output), KEEPER_SCHEMA, "number", rows_per_group=ROWS_PER_GROUP) as writer:
            for window in exchange.windows(self.parameters.budget, 0, COPIES):
                if tables := [rows for _, rows in exchange.read(window)]:
                    writer.add(pa.concat_tables(tables))
            counts: Counts = {"documents": writer.rows, "bytes": 0}
            writer.metadata = task.stamp(counts)
        exchange.close()
        return counts
