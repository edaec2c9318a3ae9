"""`members`: what an election needs to know of each document that met another, brought in the order of components.

A task takes a group of shards and writes the signature rows of its documents that are in a component, sorted by a hash
of the component. A task of `keepers` then reads whole components and nothing else. Documents that met no other, most of
a corpus without duplicates, are not moved at all.
"""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from pydantic import BaseModel, ConfigDict

from corpus.dedup.bands import Numbers
from corpus.io import table
from corpus.io.range_shuffle import Exchange
from corpus.io.sorted_runs import RunWriter
from corpus.kernels.hashing import fmix64
from corpus.kernels.types import I32, U64
from pipelines.engine.shapes import GroupStage
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.stages.dedup.components import label_path
from pipelines.stages.numbering import Numbering

NOT_JUDGED = np.int32(1 << 30)  # failed rules of a document that no filter has seen: after those that were judged
COLUMNS = ("id", "bands", "sketch", "shingles", "length", "date", "text_hash", "url_hash")  # of the signatures
ADDED = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),  # of the component
        pa.field("number", pa.uint64(), nullable=False),  # of the document
        pa.field("failed_rules", pa.int32(), nullable=False),
    ]
)


class MemberParameters(BaseModel):
    """How shards are grouped, what a task may hold (bytes), and whether keepers are chosen by verdicts too."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    budget: int
    judged: bool


@njit(nogil=True, cache=True)
def component_keys(components: U64) -> U64:
    """uint64 keys of components for the exchange: spread evenly over 64 bits, and no two components alike."""
    out = np.empty(len(components), np.uint64)
    for i in range(len(components)):
        out[i] = fmix64(components[i])
    return out


class MemberStage(GroupStage[MemberParameters]):
    """signatures (+ verdicts) of a group of shards + dedup/components.json -> dedup/members/dump=D/G.parquet"""

    name: ClassVar[str] = "members"
    version: ClassVar[int] = 2
    folder: ClassVar[str] = "dedup/members"
    phase: ClassVar[str] = "dedup"
    reads = ("signatures",)

    def __init__(self, root: str, parameters: MemberParameters) -> None:
        super().__init__(root, parameters)
        self.optional = ("verdicts",) if parameters.judged else ()

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per group of shards, with the numbers of its documents and the range that they are in."""
        [components] = upstream.whole("components", 1)
        ranges = components.arguments["ranges"]
        spans = Numbering.of(upstream, "signatures").groups(self.shards_per_group)
        return [
            self.task(
                group.below(self.folder),
                [*tasks, components],
                span=spans[group],
                range=int(np.searchsorted(ranges, spans[group][0], "right")) - 1,
            )
            for group, tasks in self.groups(upstream).items()
        ]

    def run(self, task: Task) -> Counts:
        """Pick the members of each shard; the writer sorts them."""
        counts: Counts = {"documents": 0, "bytes": 0}
        with table.open_shard(self.path(task.of("signatures")[0])) as file:
            signed = file.schema_arrow
        schema = pa.schema([*ADDED, *(signed.field(name) for name in COLUMNS)])
        with RunWriter(self.path(task.output), schema, "key", self.parameters.budget, level=0) as writer:
            for rows in self._members(task, schema):
                writer.add(rows)
                counts["documents"] += len(rows)
                counts["bytes"] += pc.sum(rows["length"]).as_py() or 0
            writer.metadata = task.stamp(counts)
        return counts

    def _members(self, task: Task, schema: pa.Schema) -> Iterator[pa.Table]:
        """The rows that are in a component, shard by shard, a row group at a time."""
        numbers, components = self._components(task)
        verdicts = {ShardRef.of(path): path for path in task.of("verdicts")}
        first = task.arguments["span"][0]  # number of the shard's first document
        for path in task.of("signatures"):
            count = table.num_rows(self.path(path))
            start, end = np.searchsorted(numbers, np.array([first, first + count], np.uint64))
            if start < end:
                verdict = verdicts.get(ShardRef.of(path))
                failed = self._failed_rules(verdict, path) if verdict else np.full(count, NOT_JUDGED)
                yield from self._of_shard(path, first, numbers[start:end], components[start:end], failed, schema)
            first += count

    def _of_shard(
        self,
        path: str,
        first: int,
        numbers: Numbers,
        components: Numbers,
        failed: I32,
        schema: pa.Schema,
    ) -> Iterator[pa.Table]:
        """The rows of the documents with these numbers in a shard whose first document is number `first`."""
        for batch in table.iter_batches(self.path(path), list(COLUMNS)):
            start, end = np.searchsorted(numbers, np.array([first, first + len(batch)], np.uint64))
            if start < end:
                rows = (numbers[start:end] - np.uint64(first)).astype(np.int64)
                added = component_keys(components[start:end]), numbers[start:end], failed[rows]
                picked = batch if len(rows) == len(batch) else batch.take(pa.array(rows))
                yield pa.table([*map(pa.array, added), *picked.columns], schema)
            first += len(batch)
            failed = failed[len(batch) :]

    def _components(self, task: Task) -> tuple[Numbers, Numbers]:
        """`(numbers, components)` of the group's documents that are in a component, ascending."""
        first, count = task.arguments["span"]
        numbers, components = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
        if count:
            path = self.path(label_path(task.arguments["range"]))
            for rows in Exchange([path], "number", first, first + count - 1).every():
                numbers.append(rows["number"].to_numpy())
                components.append(rows["component"].to_numpy())
        return np.concatenate(numbers), np.concatenate(components)

    def _failed_rules(self, verdict: str, path: str) -> I32:
        """How many filter rules each document of a shard fails; 0 where it passes."""
        judged = table.read_table(self.path(verdict), ["id", "keep", "reasons"])
        table.check_ids(judged, table.read_table(self.path(path), ["id"]), self.path(verdict))
        failed = pc.fill_null(pc.list_value_length(judged["reasons"]), 0).to_numpy()
        return np.where(judged["keep"].to_numpy(), 0, np.maximum(failed, 1)).astype(np.int32)
