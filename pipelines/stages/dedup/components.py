"""`local_components` and `components`: which documents hang together, range of documents by range of documents.

`corpus.dedup.components` tells how. First every range is contracted by itself, in parallel, which turns the twenty
edges of a pair into one. What then connects ranges is swept by one task, down through the ranges and up again, in
rounds. Each round is a file with a fingerprint of its own, so a killed task goes on with the round it was in. With one
range, the usual case on one machine, the range's own contraction is the answer already.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.dedup.bands import Edges
from corpus.dedup.components import Contraction, Labels
from corpus.io import storage
from corpus.io.checksum import file_entry
from corpus.io.range_shuffle import Exchange
from corpus.io.sorted_runs import RunWriter
from pipelines.engine.shapes import PartitionStage, SingleStage
from pipelines.engine.stage import Counts, NoParameters, Stage, Task, Upstream
from pipelines.engine.stamps import add_counts, counts_if_done
from pipelines.stages.dedup.edges import edge_writer
from pipelines.stages.dedup.partitions import all_partitions, number_ranges
from pipelines.stages.numbering import Numbering

COMPONENT_SCHEMA = pa.schema(
    [pa.field("number", pa.uint64(), nullable=False), pa.field("component", pa.uint64(), nullable=False)]
)


class LocalComponentCounts(Counts, total=False):
    """How many edges a range is contracted to."""

    edges: int


class ComponentCounts(Counts, total=False):
    """How many components the documents that met another are in."""

    components: int


class RangeParameters(BaseModel):
    """How shards are grouped, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    budget: int


def label_path(number: int) -> str:
    """The table (number, component) of the documents of a range that met another, by number."""
    return f"dedup/components/up-{number:05d}.parquet"


def _edges(tables: Iterator[pa.Table]) -> Iterator[Edges]:
    for rows in tables:
        yield Edges(rows["first"].to_numpy(), rows["second"].to_numpy())


class LocalComponentStage(PartitionStage[RangeParameters]):
    """dedup/exact_edges/** and dedup/candidate_edges/** -> dedup/local_components/NNNNN.parquet: (first, second), a
    range of documents contracted

    The argument `ranges` has the first number of every range, and the end of the last.
    """

    name: ClassVar[str] = "local_components"
    folder: ClassVar[str] = "dedup/local_components"
    phase: ClassVar[str] = "dedup"
    reads = ("exact_edges", "candidate_edges")

    def ranges(self, upstream: Upstream) -> list[int]:
        """Where the numbers of documents are cut."""
        groups = Numbering.of(upstream, "signatures").groups(self.parameters.shards_per_group)
        return number_ranges([size for _, size in groups.values()], self.parameters.budget)

    def inputs(self, upstream: Upstream) -> Sequence[Task]:
        """The edges of all partitions of both kinds of keys."""
        return [task for stage in self.reads for task in all_partitions(upstream, stage)]

    def partitions(self, upstream: Upstream) -> int:
        """One per range."""
        return len(self.ranges(upstream)) - 1

    def outputs(self, upstream: Upstream) -> Iterator[tuple[str, dict[str, Any]]]:
        """One per range, which knows all ranges."""
        ranges = self.ranges(upstream)
        for output, arguments in super().outputs(upstream):
            yield output, arguments | {"ranges": ranges}

    def run(self, task: Task) -> LocalComponentCounts:
        """Contract the range."""
        part = task.arguments["partition"]
        start, end = task.arguments["ranges"][part : part + 2]
        return contract(self, task, start, end, task.inputs)


def contract(stage: Stage, task: Task, start: int, end: int, paths: Sequence[str]) -> LocalComponentCounts:
    """Write the contraction of the edges of documents `start` to `end - 1`, which are in these files among others."""
    files = [stage.path(path) for path in paths]

    def edges() -> Iterator[Edges]:
        return _edges(Exchange(files, "second", start, end - 1).every(["first", "second"])) if start < end else iter(())

    part = Contraction(start, end - start)
    for some in edges():
        part.add(some)
    counts: LocalComponentCounts = {"documents": end - start, "bytes": 0}
    with edge_writer(stage.path(task.output)) as writer:
        for some in part.contracted(edges):
            writer.append_sorted(some)
        counts["edges"] = writer.rows
        writer.metadata = task.stamp(counts)
    return counts


class ComponentStage(SingleStage[NoParameters]):
    """dedup/local_components/** -> dedup/components.json, and dedup/components/up-NNNNN.parquet: (number, component)"""

    name: ClassVar[str] = "components"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "dedup"
    reads = ("local_components",)
    output: ClassVar[str] = "dedup/components.json"

    def plan(self, upstream: Upstream) -> list[Task]:
        """One task, whose rounds are tasks of their own."""
        tasks = all_partitions(upstream, "local_components")
        return [self.task(self.output, tasks, ranges=tasks[0].arguments["ranges"])]

    def run(self, task: Task) -> ComponentCounts:
        """Down through the ranges, and up again; rounds that are done are not done again."""
        ends, local = task.arguments["ranges"], task.inputs
        ranges = len(ends) - 1
        down = list(local)  # by range, what its edges are contracted to
        for number in reversed(range(ranges if ranges > 1 else 0)):
            down[number] = f"dedup/components/down-{number:05d}.parquet"
            step = self.task(down[number], [task])
            if counts_if_done(self.root, step, verify=True) is None:
                paths = [*local[number:], *down[number + 1 :]]
                contract(self, step, ends[number], ends[number + 1], paths)
        counts: ComponentCounts = {"documents": 0, "bytes": 0, "components": 0}
        names = [label_path(number) for number in range(ranges)]
        for number, name in enumerate(names):
            step = self.task(name, [task])
            found = counts_if_done(self.root, step, verify=True)
            add_counts(counts, self._label(step, ends, number, down) if found is None else found)
        files = {name: file_entry(self.path(name)) for name in names}
        storage.write_json(self.path(task.output), task.stamp(counts) | {"files": files})
        return counts

    def _label(self, step: Task, ends: Sequence[int], number: int, down: Sequence[str]) -> ComponentCounts:
        """Name the components of a range, and answer the higher ranges that are linked to it."""
        start, end = ends[number : number + 2]
        counts: ComponentCounts = {"documents": 0, "bytes": 0, "components": 0}
        labels = Labels(start, end - start)
        path = self.path(step.output)
        with RunWriter(path, COMPONENT_SCHEMA, "number", packed=COMPONENT_SCHEMA.names) as writer:
            if start < end:
                lower = [self.path(label_path(below)) for below in range(number)]
                for rows in Exchange(lower, "number", start, end - 1).every():
                    labels.answered(rows["number"].to_numpy(), rows["component"].to_numpy())
                for some in self._between(down[number], "second", start, end):
                    inside = some.first >= np.uint64(start)
                    labels.trees(Edges(some.first[inside], some.second[inside]))
                for above in range(number + 1, len(down)):
                    for some in self._between(down[above], "first", start, end):
                        own = some.second >= np.uint64(ends[above])  # its links, not edges it passed on
                        writer.append_sorted([some.second[own], labels.ask(some.first[own])])
            for documents, components in labels.known():
                writer.append_sorted([documents, components])
                counts["documents"] += len(documents)
                counts["components"] += int((documents == components).sum())
            writer.metadata = step.stamp(counts)
        return counts

    def _between(self, path: str, column: str, start: int, end: int) -> Iterator[Edges]:
        return _edges(Exchange([self.path(path)], column, start, end - 1).every(["first", "second"]))
