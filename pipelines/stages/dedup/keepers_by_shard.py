"""`fates`: what became of the members of clusters, brought back in the order of documents.

A file a group of shards, so that the last stage opens one file for a shard and not one for each partition of clusters.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.dedup.ordinals import ROWS, first_ordinal, shard_of
from corpus.io import table
from corpus.io.range_shuffle import Exchange, write_rows
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup.keepers import CLUSTER_SCHEMA
from pipelines.stages.dedup.partition_plan import dump_positions, gathered, grouped, planned_layout, read_layout, whole

_ROWS_A_GROUP = 1 << 14  # less than most shards have
COPIES = 3  # rows read, joined, sorted


class KeeperByShardParameters(BaseModel):
    """How shards are grouped, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    budget: int


class KeeperByShardStage(Stage[KeeperByShardParameters]):
    """dedup/keepers/** -> dedup/keepers_by_shard/dump=D/GGGGG.parquet: the same rows, by ordinal"""

    name: ClassVar[str] = "keepers_by_shard"
    phase: ClassVar[str] = "dedup"

    def expected_tasks(self, document_shards: int) -> int:
        """About one a group of shards."""
        return -(-document_shards // self.parameters.shards_per_group)

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per group of shards."""
        layout = planned_layout(self.root, done)
        every = gathered(whole(done, "keepers", layout.partitions), "dedup/keepers")
        groups = grouped(done["signatures"], self.parameters.shards_per_group)
        positions = dump_positions([task.output for task in done["signatures"]])
        return [
            self.task(
                f"dedup/keepers_by_shard/{name}.parquet",
                [every],
                position=positions[shard_of(tasks[0].output)[0]],
                shards=[min(numbers), max(numbers)],
            )
            for name, tasks in groups.items()
            for numbers in [[shard_of(task.output)[1] for task in tasks]]
        ]

    def run(self, task: Task) -> Counts:
        """Gather the group's ordinals from all partitions."""
        position, (first, last) = task.arguments["position"], task.arguments["shards"]
        layout = read_layout(self.root)
        paths = [self.path(f"dedup/keepers/{part:05d}.parquet") for part in range(layout.partitions)]
        low, high = first_ordinal(position, first), first_ordinal(position, last) + ROWS - 1
        exchange = Exchange(paths, "ordinal", low, high)
        counts: Counts = {"documents": 0, "bytes": 0}
        with table.ShardWriter(self.path(task.output), CLUSTER_SCHEMA, dictionary=False) as writer:
            for window in exchange.windows(self.parameters.budget, 0, COPIES):
                tables = [rows for _, rows in exchange.read(window)]
                if tables:
                    rows = pa.concat_tables(tables).combine_chunks()
                    del tables
                    counts["documents"] += len(rows)
                    write_rows(writer, rows.take(pa.array(np.argsort(rows["ordinal"].to_numpy()))), _ROWS_A_GROUP)
            writer.metadata = task.stamp(counts)
        exchange.close()
        return counts
