"""`copies` and `candidates`: who has to be compared with whom, as edges that hold buckets together.

A task takes one range of keys from the files of all groups and connects the documents of every bucket to the bucket's
first one: a star, so that a template of a million pages is a million edges. It reads its range in windows that fit its
memory; a bucket that alone does not fit is streamed. Nothing is removed for being connected.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.dedup.bands import KIND_BITS, Edges, sort_edges, star_edges
from corpus.io import table
from corpus.io.range_shuffle import Exchange, Window
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup.partition_plan import KEY_BYTES, planned_layout, read_layout, tasks_over, whole

_ROWS_A_GROUP = 1 << 16
EDGE_SCHEMA = pa.schema(
    [pa.field("first", pa.uint64(), nullable=False), pa.field("second", pa.uint64(), nullable=False)]
)


class EdgeParameters(BaseModel):
    """What a task may hold, in bytes, and of how many kinds the keys are."""

    model_config = ConfigDict(frozen=True)
    budget: int
    kinds: int


def write_edges(writer: table.ShardWriter, edges: Edges, rows_a_group: int = 0) -> None:
    """Append edges as row groups."""
    size = rows_a_group or _ROWS_A_GROUP
    for at in range(0, len(edges.first), size):
        columns = [pa.array(ends[at : at + size]) for ends in edges]
        writer.write(pa.table(columns, EDGE_SCHEMA))


class ExactEdgeStage(Stage[EdgeParameters]):
    """dedup/exact_keys/** -> dedup/exact_edges/NNNNN.parquet: (first, second), documents of equal text, sorted by
    second"""

    name: ClassVar[str] = "exact_edges"
    phase: ClassVar[str] = "dedup"
    keys: ClassVar[str] = "exact_keys"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per range of keys, over the groups of all dumps."""
        layout = planned_layout(self.root, done)
        inputs = [*done["partition_plan"], *whole(done, self.keys, len(layout.groups))]
        return tasks_over(self, f"dedup/{self.name}", inputs, layout.partitions)

    def span(self) -> int:
        """Keys are spread evenly below this number."""
        return 1 << 64

    def run(self, task: Task) -> Counts:
        """Gather the range from every group and connect equal keys."""
        layout = read_layout(self.root)
        paths = [self.path(f"dedup/{self.keys}/{name}.parquet") for name in layout.groups]
        bases = np.array([first for first, _ in layout.groups.values()], np.uint64)
        span, part = self.span(), task.arguments["partition"]
        first, last = part * span // layout.partitions, (part + 1) * span // layout.partitions - 1
        counts: Counts = {"documents": 0, "bytes": 0, "keys": 0, "edges": 0}
        exchange = Exchange(paths, "key", first, last)
        with table.ShardWriter(self.path(task.output), EDGE_SCHEMA, packed=EDGE_SCHEMA.names) as writer:
            for window in exchange.windows(self.parameters.budget, KEY_BYTES):
                for edges in (_streamed if window.hot else _sorted)(exchange, window, bases, counts):
                    write_edges(writer, edges)
                    counts["edges"] += len(edges.first)
            writer.metadata = task.stamp(counts)
        exchange.close()
        return counts


def _sorted(exchange: Exchange, window: Window, bases: np.ndarray, counts: Counts) -> Iterator[Edges]:
    """The edges of all buckets of a window."""
    keys, numbers = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for file, rows in exchange.read(window):
        keys.append(rows["key"].to_numpy())
        numbers.append(rows["row"].to_numpy() + bases[file])
    counts["keys"] += sum(map(len, keys))
    key, number = np.concatenate(keys), np.concatenate(numbers)
    del keys, numbers
    edges = star_edges(key, number, window.first, window.last)
    del key, number
    yield sort_edges(edges)


def _streamed(exchange: Exchange, window: Window, bases: np.ndarray, counts: Counts) -> Iterator[Edges]:
    """The star of one bucket, however large: groups come in order, so its first document comes first."""
    hub: np.uint64 | None = None
    for file, rows in exchange.read(window):
        numbers = rows["row"].to_numpy() + bases[file]
        counts["keys"] += len(numbers)
        if hub is None:
            hub, numbers = numbers[0], numbers[1:]
        yield Edges(np.full(len(numbers), hub), numbers)


class CandidateEdgeStage(ExactEdgeStage):
    """dedup/band_keys/** -> dedup/candidate_edges/NNNNN.parquet: (first, second), documents that share a band or a
    URL"""

    name: ClassVar[str] = "candidate_edges"
    version: ClassVar[int] = 2
    keys: ClassVar[str] = "band_keys"

    def span(self) -> int:
        """Of 1,024 kinds of keys, those there are: a band each."""
        return self.parameters.kinds << (64 - KIND_BITS)
