"""`members`: what clusters need to know of each document that met another, brought in the order of components.

A task takes a group of shards and writes the signature rows of its documents that are in a component, sorted by a hash
of the component, in runs (`corpus.io.range_shuffle`). A task of `clusters` then reads whole components and nothing
else. Documents that met no one, most of a corpus without copies, are not moved at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from pydantic import BaseModel, ConfigDict

from corpus.dedup.ordinals import first_ordinal, shard_of
from corpus.io import table
from corpus.io.range_shuffle import Exchange, row_groups
from corpus.kernels.hashing import fmix64
from corpus.kernels.types import I32, I64, U64
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup.components import label_path
from pipelines.stages.dedup.partition_plan import dump_positions, grouped, read_layout, whole
from pipelines.stages.dedup.signatures import with_prefix

_BYTES_A_GROUP = 1 << 22  # of a row group
NOT_JUDGED = np.int32(1 << 30)  # failed rules of a document that no filter has seen: after those that were judged
COLUMNS = ("id", "bands", "sketch", "shingles", "length", "date", "text_hash", "url_hash")  # of the signatures


class MemberParameters(BaseModel):
    """How shards are grouped, what a task may hold (bytes), and whether keepers are chosen by verdicts too."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    budget: int
    judged: bool


@njit(nogil=True, cache=True)
def places(components: U64) -> U64:
    """Where a component stands in the exchange: spread evenly over 64 bits, and no two components alike."""
    out = np.empty(len(components), np.uint64)
    for i in range(len(components)):
        out[i] = fmix64(components[i])
    return out


class MemberStage(Stage[MemberParameters]):
    """signatures/dump=D/* (+ verdicts) + dedup/components.json -> dedup/members/dump=D/GGGGG.parquet, by component"""

    name: ClassVar[str] = "members"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "dedup"

    def expected_tasks(self, document_shards: int) -> int:
        """About one a group of shards."""
        return -(-document_shards // self.parameters.shards_per_group)

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per group of shards."""
        components = whole(done, "components", 1)
        verdicts = grouped(with_prefix(done, "verdicts/"), self.parameters.shards_per_group)
        groups = grouped(done["signatures"], self.parameters.shards_per_group)
        positions = dump_positions([task.output for task in done["signatures"]])
        return [
            self.task(
                f"dedup/members/{name}.parquet",
                [*tasks, *components, *(verdicts.get(name, []) if self.parameters.judged else [])],
                position=positions[shard_of(tasks[0].output)[0]],
            )
            for name, tasks in groups.items()
        ]

    def run(self, task: Task) -> Counts:
        """Pick the members of each shard, and write them in runs as large as memory allows."""
        counts: Counts = {"documents": 0, "bytes": 0}
        schema = self._schema(task)
        with table.ShardWriter(self.path(task.output), schema, level=0, dictionary=False) as writer:
            waiting: list[pa.Table] = []
            for rows in self._members(task, schema):
                waiting.append(rows)
                counts["documents"] += len(rows)
                counts["bytes"] += pc.sum(rows["length"]).as_py() or 0
                if sum(some.nbytes for some in waiting) * 3 > self.parameters.budget:  # joined, and a part sorted
                    _write_run(writer, waiting)
            _write_run(writer, waiting)
            writer.metadata = task.stamp(counts)
        return counts

    def _schema(self, task: Task) -> pa.Schema:
        with table.open_shard(self.path(task.inputs[0])) as file:
            signed = file.schema_arrow
        added = [
            pa.field("place", pa.uint64(), nullable=False),
            pa.field("component", pa.uint64(), nullable=False),
            pa.field("ordinal", pa.uint64(), nullable=False),
            pa.field("failed_rules", pa.int32(), nullable=False),
        ]
        return pa.schema([*added, *(signed.field(name) for name in COLUMNS)])

    def _members(self, task: Task, schema: pa.Schema) -> Iterator[pa.Table]:
        """The rows that are in a component, shard by shard."""
        numbers, components = self._components(task)
        verdicts = {path for path in task.inputs if path.startswith("verdicts/")}
        base = 0  # of the shard within the group
        for path in [path for path in task.inputs if path.startswith("signatures/")]:
            count = table.num_rows(self.path(path))
            start, end = np.searchsorted(numbers, [base, base + count])
            if start < end:
                rows = (numbers[start:end] - base).astype(np.int64)
                verdict = path.replace("signatures/", "verdicts/", 1)
                failed = self._failed_rules(verdict, path)[rows] if verdict in verdicts else None
                ordinal = first_ordinal(task.arguments["position"], shard_of(path)[1])
                at = start
                first = 0
                for batch in table.iter_batches(self.path(path), list(COLUMNS)):
                    some = int(np.searchsorted(rows, first + len(batch))) + start - at
                    if some:
                        here = slice(at - start, at - start + some)
                        own = components[at : at + some]
                        added = [
                            pa.array(places(own)),
                            pa.array(own),
                            pa.array(rows[here].astype(np.uint64) + np.uint64(ordinal)),
                            pa.array(np.full(some, NOT_JUDGED) if failed is None else failed[here]),
                        ]
                        picked = batch if some == len(batch) else batch.take(pa.array(rows[here] - first))
                        yield pa.table([*added, *picked.columns], schema)
                    at += some
                    first += len(batch)
            base += count

    def _components(self, task: Task) -> tuple[I64, U64]:
        """`(rows within the group, components)` of its documents that are in one, ascending."""
        layout = read_layout(self.root)
        first, count = layout.groups[task.output.removeprefix("dedup/members/").removesuffix(".parquet")]
        numbers, components = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
        if count:
            path = self.path(label_path(layout.range_of(first)))
            for rows in Exchange([path], "number", first, first + count - 1).every():
                numbers.append(rows["number"].to_numpy())
                components.append(rows["component"].to_numpy())
        return (np.concatenate(numbers) - np.uint64(first)).astype(np.int64), np.concatenate(components)

    def _failed_rules(self, verdict: str, path: str) -> I32:
        """How many filter rules each document of a shard fails; 0 where it passes."""
        judged = table.read_table(self.path(verdict), ["id", "keep", "reasons"])
        table.check_ids(judged, table.read_table(self.path(path), ["id"]), self.path(verdict))
        failed = pc.fill_null(pc.list_value_length(judged["reasons"]), 0).to_numpy()
        return np.where(judged["keep"].to_numpy(), 0, np.maximum(failed, 1)).astype(np.int32)


def _write_run(writer: table.ShardWriter, waiting: list[pa.Table]) -> None:
    """Sort and write what waits, and empty it."""
    rows = pa.concat_tables(waiting).combine_chunks() if waiting else None
    waiting.clear()
    if rows is not None and len(rows):
        place = rows["place"].to_numpy()
        order = np.lexsort((rows["ordinal"].to_numpy(), place))
        size = max(1, _BYTES_A_GROUP * len(rows) // max(1, rows.nbytes))
        for first, end in row_groups(place[order], size):
            writer.write(rows.take(pa.array(order[first:end])))
