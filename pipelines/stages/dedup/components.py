"""`forests` and `components`: which documents hang together, range of documents by range of documents.

`corpus.dedup.components` tells how. First every range is contracted by itself, in parallel, which turns the twenty
edges of a pair into one. What then connects ranges is swept by one task, down through the ranges and up again, in
rounds; each round is a file with a fingerprint of its own, so a killed task goes on with the round it was in. With one
range, the usual case on one machine, the forest is the answer already.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa

from corpus.dedup.bands import Edges
from corpus.dedup.components import Contraction, Labels
from corpus.io import storage, table
from corpus.io.checksum import file_entry
from corpus.io.range_shuffle import Exchange, write_rows
from pipelines.engine.stage import Counts, NoParameters, Stage, Task
from pipelines.engine.stamps import counts_if_done
from pipelines.stages.dedup.edges import EDGE_SCHEMA, write_edges
from pipelines.stages.dedup.partition_plan import Layout, gathered, planned_layout, read_layout, whole

_ROWS_A_GROUP = 1 << 16
PATH = "dedup/components.json"
COMPONENT_SCHEMA = pa.schema(
    [pa.field("number", pa.uint64(), nullable=False), pa.field("component", pa.uint64(), nullable=False)]
)


def label_path(place: int) -> str:
    """The table (number, component) of the documents of a range that met another, by number."""
    return f"dedup/components/up-{place:05d}.parquet"


def _edges(tables: Iterator[pa.Table]) -> Iterator[Edges]:
    for rows in tables:
        yield Edges(rows["first"].to_numpy(), rows["second"].to_numpy())


class LocalComponentStage(Stage[NoParameters]):
    """dedup/exact_edges/** and dedup/candidate_edges/** -> dedup/local_components/NNNNN.parquet: (first, second), a
    range contracted"""

    name: ClassVar[str] = "local_components"
    phase: ClassVar[str] = "dedup"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per range of documents, over the edges of all keys."""
        layout = planned_layout(self.root, done)
        edges = [*whole(done, "exact_edges", layout.partitions), *whole(done, "candidate_edges", layout.partitions)]
        every = gathered(edges)
        return [
            self.task(f"dedup/local_components/{place:05d}.parquet", [every], range=place)
            for place in range(len(layout.ranges) - 1)
        ]

    def run(self, task: Task) -> Counts:
        """Contract the range."""
        layout = read_layout(self.root)
        stages = ("exact_edges", "candidate_edges")
        paths = [f"dedup/{name}/{part:05d}.parquet" for name in stages for part in range(layout.partitions)]
        return contract(self, task, layout, task.arguments["range"], paths)


def contract(stage: Stage, task: Task, layout: Layout, place: int, paths: Sequence[str]) -> Counts:
    """Write the contraction of the edges of a range, which lie in these files among others."""
    start, end = layout.ranges[place : place + 2]
    files = [stage.path(path) for path in paths]

    def edges() -> Iterator[Edges]:
        return _edges(Exchange(files, "second", start, end - 1).every(["first", "second"])) if start < end else iter(())

    part = Contraction(start, end - start)
    for some in edges():
        part.add(some)
    counts: Counts = {"documents": end - start, "bytes": 0, "edges": 0}
    with table.ShardWriter(stage.path(task.output), EDGE_SCHEMA, packed=EDGE_SCHEMA.names) as writer:
        for some in part.contracted(edges):
            write_edges(writer, some)
            counts["edges"] += len(some.first)
        writer.metadata = task.stamp(counts)
    return counts


class ComponentStage(Stage[NoParameters]):
    """dedup/local_components/** -> dedup/components.json, and dedup/components/up-NNNNN.parquet: (number, component)"""

    name: ClassVar[str] = "components"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "dedup"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task, whose rounds are tasks of their own."""
        layout = planned_layout(self.root, done)
        forests = whole(done, "local_components", len(layout.ranges) - 1)
        return [self.task(PATH, [*done["partition_plan"], *forests])]

    def run(self, task: Task) -> Counts:
        """Down through the ranges, and up again; rounds that are done are not done again."""
        layout = read_layout(self.root)
        ranges = len(layout.ranges) - 1
        forests = [f"dedup/local_components/{place:05d}.parquet" for place in range(ranges)]
        down = list(forests)  # by range, what its edges are contracted to
        for place in reversed(range(ranges if ranges > 1 else 0)):
            down[place] = f"dedup/components/down-{place:05d}.parquet"
            step = self._round(task, down[place])
            if counts_if_done(self.root, step, verify=True) is None:
                contract(self, step, layout, place, [*forests[place:], *down[place + 1 :]])
        counts: Counts = {"documents": 0, "bytes": 0, "components": 0}
        for place in range(ranges):
            step = self._round(task, label_path(place))
            found = counts_if_done(self.root, step, verify=True)
            for name, count in (found or self._label(step, layout, place, down)).items():
                counts[name] += count
        names = [label_path(place) for place in range(ranges)]
        files = {name: file_entry(self.path(name)) for name in names}
        storage.write_json(self.path(task.output), task.stamp(counts) | {"files": files})
        return counts

    def _round(self, task: Task, output: str) -> Task:
        return self.task(output, [gathered([task])])

    def _label(self, step: Task, layout: Layout, place: int, down: Sequence[str]) -> Counts:
        """Name the components of a range, and answer the higher ranges that are linked to it."""
        start, end = layout.ranges[place : place + 2]
        counts: Counts = {"documents": 0, "bytes": 0, "components": 0}
        labels = Labels(start, end - start)
        with table.ShardWriter(self.path(step.output), COMPONENT_SCHEMA, packed=COMPONENT_SCHEMA.names) as writer:
            if start < end:
                lower = [self.path(label_path(below)) for below in range(place)]
                for rows in Exchange(lower, "number", start, end - 1).every():
                    labels.answered(rows["number"].to_numpy(), rows["component"].to_numpy())
                for some in self._between(down[place : place + 1], "second", start, end):
                    inside = some.first >= np.uint64(start)
                    labels.trees(Edges(some.first[inside], some.second[inside]))
                for above in range(place + 1, len(down)):
                    for some in self._between(down[above : above + 1], "first", start, end):
                        own = some.second >= np.uint64(layout.ranges[above])  # its links, not edges it passed on
                        _write_labels(writer, some.second[own], labels.ask(some.first[own]))
            for documents, components in labels.known():
                _write_labels(writer, documents, components)
                counts["documents"] += len(documents)
                counts["components"] += int((documents == components).sum())
            writer.metadata = step.stamp(counts)
        return counts

    def _between(self, paths: Sequence[str], column: str, start: int, end: int) -> Iterator[Edges]:
        exchange = Exchange([self.path(path) for path in paths], column, start, end - 1)
        return _edges(exchange.every(["first", "second"]))


def _write_labels(writer: table.ShardWriter, documents: np.ndarray, components: np.ndarray) -> None:
    write_rows(writer, pa.table([pa.array(documents), pa.array(components)], COMPONENT_SCHEMA), _ROWS_A_GROUP)
