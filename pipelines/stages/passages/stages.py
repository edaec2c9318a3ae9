"""Deduplication at string level as stages: what repeats inside kept documents becomes spans, which tokens leave out.

`anchors` to `repeats` find repeated passages (pipelines/stages/passages/ngrams.py), `site_lines` and `boilerplate` the
lines that many documents of a site have (pipelines/stages/passages/site_lines.py). Here `marks` brings both back to the
groups of shards they are of, and `passages` turns them into the spans of each document.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus import spans
from corpus.io import table
from corpus.io.range_shuffle import Exchange, Window, write_rows
from corpus.passages.cuts import KINDS, Limits, RepeatPositions, spans_to_cut
from corpus.passages.in_memory import NO_REPEATS
from pipelines.config.passages import PassageParameters
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.engine.stamps import add_counts
from pipelines.stages.dedup.partition_plan import group_name
from pipelines.stages.dedup.stages import PROCESS_BYTES
from pipelines.stages.passages.ngrams import (
    MinimizerStage,
    NgramKeyStage,
    NgramParameters,
    RepeatedMinimizerStage,
    RepeatedNgramStage,
)
from pipelines.stages.passages.shuffle import MARK_SCHEMA, ROW_BITS, codes_of, documents_and_keep, participants, whole
from pipelines.stages.passages.site_lines import BoilerplateParameters, BoilerplateStage, LineParameters, SiteLineStage

_ROWS_A_GROUP = 1 << 16
MARK_BYTES = 48  # a mark while those of a group are sorted
GROUP_MARK_SCHEMA = pa.schema(
    [
        pa.field("code", pa.uint32(), nullable=False),  # of the document in its group
        pa.field("place", pa.uint32(), nullable=False),  # of the word at which a window begins, or of the line
        pa.field("line", pa.bool_(), nullable=False),  # whether it is boilerplate
    ]
)


class GroupParameters(BaseModel):
    """In how many parts marks come and go, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    partitions: int
    budget: int


class CutParameters(BaseModel):
    """What decides the spans, given what repeats."""

    model_config = ConfigDict(frozen=True)
    words: int
    line_bytes: int
    least: int
    exclude: tuple[str, ...]
    shards_per_group: int

    @property
    def limits(self) -> Limits:
        """The same, as the kernels take it."""
        return Limits(self.words, self.line_bytes, self.least)


def passage_stages(root: str, section: PassageParameters | None) -> list[Stage]:
    """The stages in order, none without a section; they take documents, duplicates and verdicts from those before."""
    if section is None:
        return []
    chosen = section.model_dump() | {"budget": section.memory_bytes - PROCESS_BYTES}

    def only(model: type[BaseModel]) -> Any:
        return model(**{name: chosen[name] for name in model.model_fields})

    return [
        MinimizerStage(root, only(NgramParameters)),
        RepeatedMinimizerStage(root, only(NgramParameters)),
        NgramKeyStage(root, only(NgramParameters)),
        RepeatedNgramStage(root, only(NgramParameters)),
        SiteLineStage(root, only(LineParameters)),
        BoilerplateStage(root, only(BoilerplateParameters)),
        RepeatPositionStage(root, only(GroupParameters)),
        PassageStage(root, only(CutParameters)),
    ]


class RepeatPositionStage(Stage[GroupParameters]):
    """dedup/repeated_ngrams + dedup/boilerplate -> dedup/repeat_positions/dump=D/G.parquet: what they say of a
    group, by document"""

    name: ClassVar[str] = "repeat_positions"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "passages"

    def expected_tasks(self, document_shards: int) -> int:
        """One a group of shards."""
        return -(-document_shards // self.parameters.shards_per_group)

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per group of shards."""
        found = [whole(done, name, self.parameters.partitions) for name in ("repeated_ngrams", "boilerplate")]
        lines = {task.output.removeprefix("dedup/site_lines/"): place for place, task in enumerate(done["site_lines"])}
        windows = [task.output.removeprefix("dedup/ngram_keys/") for task in done["ngram_keys"]]
        return [
            self.task(f"dedup/repeat_positions/{name}", found, windows=place, lines=lines[name])
            for place, name in enumerate(windows)
            if name in lines
        ]

    def run(self, task: Task) -> Counts:
        """Read the group's marks of all ranges and write them sorted, first those of windows, then those of lines."""
        counts: Counts = {"documents": 0, "bytes": 0, "marks": 0}
        codes = self.parameters.shards_per_group << ROW_BITS
        with table.ShardWriter(self.path(task.output), GROUP_MARK_SCHEMA, dictionary=False) as writer:
            for folder, kind in zip(task.inputs, ("windows", "lines")):
                place = task.arguments[kind]
                paths = [self.path(f"{folder}/{part:05d}.parquet") for part in range(self.parameters.partitions)]
                exchange = Exchange(paths, "document", place << 32, (place << 32) + codes - 1)
                for found in self._fitting(exchange):
                    rows = _sorted(found, kind == "lines")
                    counts["marks"] += len(rows)
                    write_rows(writer, rows, _ROWS_A_GROUP)
                exchange.close()
            writer.metadata = task.stamp(counts)
        return counts

    def _fitting(self, exchange: Exchange) -> Iterator[pa.Table]:
        """The marks of a group by range of documents, of which each fits in memory. The ranges come from what is read:
        row groups are of several groups, and shards have few of the codes they could, so footers say little."""
        waiting = [(exchange.first, exchange.last)]
        while waiting:
            first, last = waiting.pop()
            parts, room = [MARK_SCHEMA.empty_table()], self.parameters.budget
            for _, rows in exchange.read(Window(first, last, hot=False)):
                parts.append(rows)
                room -= len(rows) * MARK_BYTES
                if room < 0 and first < last:
                    middle = (first + last) // 2
                    waiting += [(middle + 1, last), (first, middle)]
                    break
            else:
                yield pa.concat_tables(parts)


def _sorted(rows: pa.Table, line: bool) -> pa.Table:
    """RepeatPositions of one kind by the document's code in its group, then by place."""
    codes, places = rows["document"].to_numpy().astype(np.uint32), rows["place"].to_numpy()  # the lower half: the code
    order = np.lexsort((places, codes))
    columns = [pa.array(codes[order]), pa.array(places[order]), pa.array(np.full(len(rows), line))]
    return pa.table(columns, GROUP_MARK_SCHEMA)


class PassageStage(Stage[CutParameters]):
    """documents of dump=D/N.parquet + the marks of its group -> passages/dump=D/N.parquet: id, spans"""

    name: ClassVar[str] = "passages"
    phase: ClassVar[str] = "passages"
    folder: ClassVar[str] = "passages"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard; one that is excluded has no spans."""
        marks = {
            task.output.removeprefix("dedup/repeat_positions/").removesuffix(".parquet"): task
            for task in done["repeat_positions"]
        }
        tasks = []
        for shard, inputs in participants(done, ()).items():
            group = marks.get(group_name(shard, self.parameters.shards_per_group))
            if ShardRef.of(shard).dump in self.parameters.exclude:
                tasks.append(self.task(f"{self.folder}/{shard}", inputs))
            elif group is not None:
                tasks.append(self.task(f"{self.folder}/{shard}", [*inputs, group]))
        return tasks

    def run(self, task: Task) -> Counts:
        """Turn the marks of the shard into spans; the counts are of kept documents, by language and kind of span."""
        windows = lines = NO_REPEATS
        if len(task.inputs) > 3:
            first, last = codes_of(task.output, self.parameters.shards_per_group)
            rows = table.read_between(self.path(task.inputs[3]), "code", first, last)
            line = rows["line"].to_numpy()
            columns = rows["code"].to_numpy().astype(np.int64) - first, rows["place"].to_numpy().astype(np.int64)
            windows, lines = (RepeatPositions(*(column[chosen] for column in columns)) for chosen in (~line, line))
        counts: Counts = {"documents": 0, "bytes": 0, "languages": {}}
        with table.ShardWriter(self.path(task.output), spans.SCHEMA) as writer:
            for first, documents, keep in documents_and_keep(self, task.inputs[:3], ["id", "language", "text"]):
                last = first + len(documents)
                here = _between(windows, first, last), _between(lines, first, last)
                found = spans_to_cut(documents["text"], *here, self.parameters.limits)
                writer.write(spans.span_table(documents["id"], found))
                add_counts(counts, _count(documents, keep, found))
            writer.metadata = task.stamp(counts)
        return counts


def _between(marks: RepeatPositions, first: int, last: int) -> RepeatPositions:
    """The marks in rows `first` to `last - 1`, counted from `first`."""
    start, end = np.searchsorted(marks.rows, [first, last])
    return RepeatPositions(marks.rows[start:end] - first, marks.positions[start:end])


def _count(documents: pa.Table, keep: npt.NDArray[np.bool_], found: spans.Spans) -> Counts:
    """Kept documents and their bytes, in all and by language, with what is cut of them by kind of span."""
    sizes = pc.binary_length(documents["text"]).to_numpy()
    languages = documents["language"].to_numpy()
    rows = np.repeat(np.arange(len(documents)), np.diff(found.offsets))
    kinds, cut = found.kinds.to_numpy(zero_copy_only=False), found.ends - found.starts
    counts: Counts = {"documents": int(keep.sum()), "bytes": int(sizes[keep].sum()), "languages": {}}
    for language in sorted(set(languages[keep])):
        mine = keep & (languages == language)
        of: Counts = {"documents": int(mine.sum()), "bytes": int(sizes[mine].sum()), "cut": {}}
        for kind in KINDS:
            chosen = mine[rows] & (kinds == kind)
            amounts = {"documents": len(np.unique(rows[chosen])), "spans": int(chosen.sum())}
            of["cut"][kind] = amounts | {"bytes": int(cut[chosen].sum())}
        counts["languages"][language] = of
    return counts
