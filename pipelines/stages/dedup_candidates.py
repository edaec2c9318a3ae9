"""Who has to be compared with whom: `candidates`, which find buckets, and `components`, which join them.

A candidates task takes one range of keys from the shuffled shards of all dumps and connects the documents of every
bucket to the bucket's first one: a star, so that a template of a million pages is a million edges. Components are then
the units inside which keepers are chosen; nothing is removed for being connected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus import table
from corpus.dedup.bands import Edges, star_edges, unique_edges
from corpus.dedup.components import components
from corpus.dedup.ordinals import first_ordinal, shard_of
from pipelines.engine.stage import Counts, NotPlanned, Source, Stage, Task, fingerprint

_ROWS_A_GROUP = 1 << 16
EDGE_SCHEMA = pa.schema(
    [pa.field("first", pa.uint64(), nullable=False), pa.field("second", pa.uint64(), nullable=False)]
)
COMPONENT_SCHEMA = pa.schema(
    [pa.field("ordinal", pa.uint64(), nullable=False), pa.field("component", pa.uint64(), nullable=False)]
)


class PartitionParameters(BaseModel):
    """How many parts the keys, and later the components, are cut into; the result does not depend on it."""

    model_config = ConfigDict(frozen=True)
    partitions: int


def dump_positions(paths: Sequence[str]) -> dict[str, int]:
    """The position of each dump in the order in which the shards name them."""
    return {dump: place for place, dump in enumerate(dict.fromkeys(shard_of(path)[0] for path in paths))}


def bases(paths: Sequence[str]) -> list[int]:
    """The first ordinal of each shard, given the shards of all dumps in the recipe's order."""
    positions = dump_positions(paths)
    return [first_ordinal(positions[dump], number) for dump, number in map(shard_of, paths)]


def key_range(partition: int, partitions: int) -> tuple[int, int]:
    """The first and last 64-bit key of a partition; keys are uniform, so partitions are of about equal size."""
    return (partition << 64) // partitions, ((partition + 1) << 64) // partitions - 1


def tasks_over(stage: Stage, folder: str, inputs: Sequence[Task], partitions: int) -> list[Task]:
    """A task per partition, each over all inputs; hashed once and held once, however many of both there are."""
    every = Source("", fingerprint([task.fingerprint for task in inputs]))
    paths = tuple(task.output for task in inputs)
    names = [f"{folder}/{part:05d}.parquet" for part in range(partitions)]
    return [replace(stage.task(name, [every], partition=part), inputs=paths) for part, name in enumerate(names)]


def whole(done: Mapping[str, Sequence[Task]], stage: str, parameters: PartitionParameters) -> Sequence[Task]:
    """All partitions of an earlier stage; raises NotPlanned where one is missing: its documents would look unique."""
    tasks = done.get(stage, ())
    if len(tasks) != parameters.partitions:
        raise NotPlanned(f"needs all {parameters.partitions} partitions of {stage}, and has {len(tasks)}")
    return tasks


def write_sorted(path: str, schema: pa.Schema, columns: Sequence[pa.Array], task: Task, counts: Counts) -> None:
    """Write columns that are sorted by the first, in row groups that `table.read_between` can pick from."""
    rows = pa.table(list(columns), schema)
    with table.ShardWriter(path, schema, dictionary=False) as writer:
        for at in range(0, len(rows), _ROWS_A_GROUP):
            writer.write(rows.slice(at, _ROWS_A_GROUP))
        writer.metadata = task.stamp(counts)


class CandidateStage(Stage[PartitionParameters]):
    """dedup/shuffle/** -> dedup/candidates/NNNNN.parquet: (first, second), the star edges of a range of keys"""

    name: ClassVar[str] = "candidates"
    group: ClassVar[str] = "dedup"

    def expected_tasks(self, document_shards: int) -> int:
        """One a partition."""
        return self.parameters.partitions

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per range of keys, over the shards of all dumps."""
        return tasks_over(self, "dedup/candidates", done["shuffle"], self.parameters.partitions)

    def run(self, task: Task) -> Counts:
        """Gather the range from every shard and connect equal keys."""
        first, last = key_range(task.arguments["partition"], self.parameters.partitions)
        keys, ordinals = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
        for path, base in zip(task.inputs, bases(task.inputs), strict=True):
            rows = table.read_between(self.path(path), "key", first, last)
            keys.append(rows["key"].to_numpy())
            ordinals.append(rows["row"].to_numpy().astype(np.uint64) + np.uint64(base))
        edges = star_edges(np.concatenate(keys), np.concatenate(ordinals))
        counts: Counts = {"documents": 0, "bytes": 0, "keys": sum(map(len, keys)), "edges": len(edges.first)}
        write_sorted(self.path(task.output), EDGE_SCHEMA, [pa.array(edges.first), pa.array(edges.second)], task, counts)
        return counts


class ComponentStage(Stage[PartitionParameters]):
    """dedup/candidates/** -> dedup/components/00000.parquet: (ordinal, component) of documents that share a bucket"""

    name: ClassVar[str] = "components"
    group: ClassVar[str] = "dedup"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task over all edges."""
        return [self.task("dedup/components/00000.parquet", whole(done, "candidates", self.parameters))]

    def run(self, task: Task) -> Counts:
        """Join the edges of all partitions."""
        parts = [table.read_table(self.path(path)) for path in task.inputs]
        columns = [
            np.concatenate([np.zeros(0, np.uint64), *(part[name].to_numpy() for part in parts)])
            for name in ("first", "second")
        ]
        ordinals, labels = components(unique_edges(Edges(*columns)))
        counts: Counts = {"documents": len(ordinals), "bytes": 0, "components": len(np.unique(labels))}
        write_sorted(self.path(task.output), COMPONENT_SCHEMA, [pa.array(ordinals), pa.array(labels)], task, counts)
        return counts
