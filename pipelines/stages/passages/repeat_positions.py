"""`repeat_positions`: what ranges of keys say of documents, brought back to the groups of shards they are in.

A file per group of shards, so that the last stage opens one file for a shard and not two for each range.
"""

from typing import ClassVar

import numpy as np
import pyarrow as pa

from corpus.io.range_shuffle import Exchange
from corpus.io.sorted_runs import RunWriter
from pipelines.engine.shapes import GroupStage, gathered
from pipelines.engine.stage import Task, Upstream
from pipelines.stages.passages.exchange import POSITION_SCHEMA, ExchangeParameters, PositionCounts, partition_paths
from pipelines.stages.passages.ngrams import RepeatedNgramStage
from pipelines.stages.passages.participants import numbering_of
from pipelines.stages.passages.site_lines import BoilerplateStage

REPEAT_SCHEMA = POSITION_SCHEMA.append(pa.field("line", pa.bool_(), nullable=False))  # of a line, not of an n-gram


class RepeatPositionStage(GroupStage[ExchangeParameters]):
    """dedup/repeated_ngrams + dedup/boilerplate -> dedup/repeat_positions/dump=D/G.parquet: (number, position, line) of
    a group, by number"""

    name: ClassVar[str] = "repeat_positions"
    version: ClassVar[int] = 3
    folder: ClassVar[str] = "dedup/repeat_positions"
    phase: ClassVar[str] = "passages"

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per group of shards of which both n-grams and lines are known, with the numbers of its documents."""
        found = [
            gathered(upstream.whole(stage.name, self.parameters.partitions), stage.folder)
            for stage in (RepeatedNgramStage, BoilerplateStage)
        ]
        lines = {task.shard for task in upstream["site_lines"]}
        numbers = numbering_of(upstream, self.parameters.exclude).groups(self.shards_per_group)
        return [
            self.task(task.shard.below(self.folder), found, numbers=numbers[task.shard])
            for task in upstream["ngram_keys"]
            if task.shard in lines
        ]

    def run(self, task: Task) -> PositionCounts:
        """Read the group's positions in all ranges, and write them as sorted runs."""
        first, size = task.arguments["numbers"]
        with RunWriter(self.path(task.output), REPEAT_SCHEMA, "number", self.parameters.budget) as writer:
            for folder, line in zip(task.inputs, (False, True), strict=True):
                paths = partition_paths(self.path(folder), self.parameters.partitions) if size else []
                for rows in Exchange(paths, "number", first, first + max(size, 1) - 1).every():
                    rows = rows.sort_by("position")  # neighbours compress
                    writer.add([*rows.columns, pa.array(np.full(len(rows), line))])
            counts: PositionCounts = {"documents": 0, "bytes": 0, "positions": writer.rows}
            writer.metadata = task.stamp(counts)
        return counts
