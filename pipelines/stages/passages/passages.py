"""`passages`: what repeats inside the documents of a shard becomes the spans that tokens leave out."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus import spans
from corpus.errors import CorruptShard
from corpus.io import table
from corpus.kernels.types import I64, Bools
from corpus.passages.cuts import KINDS, Limits, RepeatPositions, spans_to_cut
from corpus.passages.in_memory import NO_REPEATS
from pipelines.engine.shapes import ShardStage
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.engine.stamps import add_counts
from pipelines.stages.passages.participants import TABLES, judged_documents, numbering_of


class CutCounts(Counts, total=False):
    """Documents that lose a span of some kind, the spans, and their bytes."""

    spans: int


class LanguageCounts(Counts, total=False):
    """Kept documents of a language, and what they lose."""

    cut: dict[str, CutCounts]  # by kind of span


class PassageCounts(Counts, total=False):
    """Kept documents, in all and by language."""

    languages: dict[str, LanguageCounts]


class CutParameters(BaseModel):
    """What decides the spans, given what repeats; and where that is found."""

    model_config = ConfigDict(frozen=True)
    words: int
    line_bytes: int
    least: int
    exclude: tuple[str, ...]
    shards_per_group: int

    @property
    def limits(self) -> Limits:
        """What decides the spans, as the kernels take it."""
        return Limits(self.words, self.line_bytes, self.least)


class PassageStage(ShardStage[CutParameters]):
    """documents, duplicates, verdicts + the dedup/repeat_positions of its group -> passages/dump=D/N.parquet: id,
    spans"""

    name: ClassVar[str] = "passages"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "passages"
    folder: ClassVar[str] = "passages"
    reads = TABLES

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per shard, with the numbers of its documents; one of an excluded source has no spans."""
        groups = {task.shard: task for task in upstream["repeat_positions"]}
        numbering = numbering_of(upstream, self.parameters.exclude)
        tasks = []
        for shard, tables in upstream.shards(*self.reads).items():
            group = groups.get(shard.group(self.parameters.shards_per_group))
            if shard.dump in self.parameters.exclude:
                tasks.append(self.task(shard.below(self.folder), tables))
            elif group:
                tasks.append(self.task(shard.below(self.folder), [*tables, group], numbers=numbering.spans[shard]))
        return tasks

    def run(self, task: Task) -> PassageCounts:
        """Turn the positions of repeats into spans; the counts are of kept documents."""
        ngrams, lines = self._repeats(task)
        counts: PassageCounts = {"documents": 0, "bytes": 0, "languages": {}}
        first = 0
        with table.ShardWriter(self.path(task.output), spans.SCHEMA) as writer:
            for documents, keep in judged_documents(self, task, ["id", "language", "text"]):
                last = first + len(documents)
                here = _between(ngrams, first, last), _between(lines, first, last)
                found = spans_to_cut(documents["text"], *here, self.parameters.limits)
                writer.write(spans.span_table(documents["id"], found))
                add_counts(counts, _count(documents, keep, found))
                first = last
            writer.metadata = task.stamp(counts)
        return counts

    def _repeats(self, task: Task) -> tuple[RepeatPositions, RepeatPositions]:
        """Where the shard's documents repeat n-grams, and where lines, by row and position."""
        first, size = task.arguments.get("numbers", (0, 0))
        if not size:  # an excluded source, or no documents
            return NO_REPEATS, NO_REPEATS
        documents = self.path(task.one("documents"))
        if table.num_rows(documents) != size:
            raise CorruptShard(documents, f"it has not the {size:,} documents that were counted when it was written")
        found = table.read_between(self.path(task.one("repeat_positions")), "number", first, first + size - 1)
        numbers, positions, line = (column.to_numpy() for column in found.columns)
        order = np.lexsort((positions, numbers))

        def chosen(of: I64) -> RepeatPositions:
            return RepeatPositions((numbers[of] - np.uint64(first)).astype(np.int64), positions[of].astype(np.int64))

        return chosen(order[~line[order]]), chosen(order[line[order]])


def _between(repeats: RepeatPositions, first: int, last: int) -> RepeatPositions:
    """Those in rows `first` to `last - 1`, counted from `first`."""
    start, end = np.searchsorted(repeats.rows, [first, last])
    return RepeatPositions(repeats.rows[start:end] - first, repeats.positions[start:end])


def _count(documents: pa.Table, keep: Bools, found: spans.Spans) -> PassageCounts:
    """Kept documents and their bytes, in all and by language, with what is cut of them by kind of span."""
    sizes = pc.binary_length(documents["text"]).to_numpy()
    languages = documents["language"].to_numpy()
    rows = np.repeat(np.arange(len(documents)), np.diff(found.offsets))
    kinds, cut = found.kinds.to_numpy(zero_copy_only=False), found.ends - found.starts
    by_language: dict[str, LanguageCounts] = {}
    for language in sorted(set(languages[keep])):
        mine = keep & (languages == language)
        by_kind: dict[str, CutCounts] = {}
        for kind in KINDS:
            chosen = mine[rows] & (kinds == kind)
            by_kind[kind] = {
                "documents": len(np.unique(rows[chosen])),
                "spans": int(chosen.sum()),
                "bytes": int(cut[chosen].sum()),
            }
        by_language[language] = {"documents": int(mine.sum()), "bytes": int(sizes[mine].sum()), "cut": by_kind}
    return {"documents": int(keep.sum()), "bytes": int(sizes[keep].sum()), "languages": by_language}
