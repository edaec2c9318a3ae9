"""`exact_edges` and `candidate_edges`: who has to be compared with whom, as edges that hold buckets together.

A task takes one range of keys from the files of all groups and connects the documents of every bucket to the bucket's
first one: a star, so that a template of a million pages is a million edges. It reads its range in windows that fit its
memory; a bucket that alone does not fit is streamed. Nothing is removed for being connected.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.dedup.bands import KIND_BITS, Edges, Numbers, sort_edges, star_edges
from corpus.io.range_shuffle import Exchange, Window
from corpus.io.sorted_runs import RunWriter
from pipelines.engine.shapes import PartitionStage
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.stages.dedup.partitions import KEY_BYTES, partition_count
from pipelines.stages.numbering import Numbering

EDGE_SCHEMA = pa.schema(
    [pa.field("first", pa.uint64(), nullable=False), pa.field("second", pa.uint64(), nullable=False)]
)


class EdgeCounts(Counts, total=False):
    """How many keys a partition has, and how many edges hold its buckets together."""

    keys: int
    edges: int


class EdgeParameters(BaseModel):
    """How shards are grouped, what a task may hold (bytes), of how many kinds the keys of a document are, and how many
    partitions there are at least."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    budget: int
    kinds: int
    partitions: int


def edge_writer(path: str) -> RunWriter:
    """A writer of a table of edges, to which sorted edges are appended."""
    return RunWriter(path, EDGE_SCHEMA, "second", packed=EDGE_SCHEMA.names)


class ExactEdgeStage(PartitionStage[EdgeParameters]):
    """dedup/exact_keys/** -> dedup/exact_edges/NNNNN.parquet: (first, second), documents of equal text, sorted by
    second"""

    name: ClassVar[str] = "exact_edges"
    folder: ClassVar[str] = "dedup/exact_edges"
    phase: ClassVar[str] = "dedup"
    reads = ("exact_keys",)

    def inputs(self, upstream: Upstream) -> Sequence[Task]:
        """The keys of all groups."""
        groups = {task.shard.group(self.parameters.shards_per_group) for task in upstream["signatures"]}
        return upstream.whole(self.reads[0], len(groups))

    def partitions(self, upstream: Upstream) -> int:
        """As many as memory asks for."""
        documents, chosen = Numbering.of(upstream, "signatures").documents, self.parameters
        return partition_count(documents, chosen.kinds, chosen.budget, chosen.partitions)

    def span(self) -> int:
        """Keys are spread evenly below this number."""
        return 1 << 64

    def run(self, task: Task) -> EdgeCounts:
        """Gather the range from every group and connect equal keys."""
        span, part, parts = self.span(), task.arguments["partition"], task.arguments["partitions"]
        exchange = Exchange(
            [self.path(path) for path in task.inputs], "key", part * span // parts, (part + 1) * span // parts - 1
        )
        sizes = [counts["documents"] for counts in exchange.counts]
        firsts = np.array(list(accumulate(sizes, initial=0)), np.uint64)
        counts: EdgeCounts = {"documents": 0, "bytes": 0, "keys": 0, "edges": 0}
        with edge_writer(self.path(task.output)) as writer:
            for window in exchange.windows(self.parameters.budget, KEY_BYTES):
                for edges in (_streamed if window.hot else _sorted)(exchange, window, firsts, counts):
                    writer.append_sorted(edges)
            counts["edges"] = writer.rows
            writer.metadata = task.stamp(counts)
        exchange.close()
        return counts


def _sorted(exchange: Exchange, window: Window, firsts: Numbers, counts: EdgeCounts) -> Iterator[Edges]:
    """The edges of all buckets of a window; `firsts` are the numbers of the first document of each group."""
    keys, numbers = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for file, rows in exchange.read(window):
        keys.append(rows["key"].to_numpy())
        numbers.append(rows["row"].to_numpy() + firsts[file])
    counts["keys"] += sum(map(len, keys))
    key, number = np.concatenate(keys), np.concatenate(numbers)
    del keys, numbers
    edges = star_edges(key, number, window.first, window.last)
    del key, number
    yield sort_edges(edges)


def _streamed(exchange: Exchange, window: Window, firsts: Numbers, counts: EdgeCounts) -> Iterator[Edges]:
    """The star of one bucket, however large: groups come in order, so its first document comes first."""
    hub: np.uint64 | None = None
    for file, rows in exchange.read(window):
        numbers = rows["row"].to_numpy() + firsts[file]
        counts["keys"] += len(numbers)
        if hub is None:
            hub, numbers = numbers[0], numbers[1:]
        yield Edges(np.full(len(numbers), hub), numbers)


class CandidateEdgeStage(ExactEdgeStage):
    """dedup/band_keys/** -> dedup/candidate_edges/NNNNN.parquet: (first, second), documents that share a band or a
    URL"""

    name: ClassVar[str] = "candidate_edges"
    version: ClassVar[int] = 2
    folder: ClassVar[str] = "dedup/candidate_edges"
    reads = ("band_keys",)

    def span(self) -> int:
        """Of 1,024 kinds of keys, those there are: one per band."""
        return self.parameters.kinds << (64 - KIND_BITS)
