"""Deduplication at string level as stages: what repeats inside kept documents becomes spans, which tokens leave out.

`anchors` to `repeats` find repeated passages (pipelines/stages/passages_windows.py), `site_lines` and `boilerplate` the
lines that many documents of a site have (pipelines/stages/passages_lines.py); `passages`, here, turns both into the
spans of each document.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus import spans, table
from corpus.dedup.cuts import KINDS, Limits, Marks, spans_to_cut
from corpus.dedup.passages import NO_MARKS
from pipelines.engine.outputs import add_counts
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.sections.passages import PassageParameters
from pipelines.stages.filter import partition_of
from pipelines.stages.passages_lines import BoilerplateParameters, BoilerplateStage, LineParameters, SiteLineStage
from pipelines.stages.passages_shuffle import documents_and_keep, read_marks, whole
from pipelines.stages.passages_windows import (
    AnchorStage,
    RepeatStage,
    SharedAnchorStage,
    WindowParameters,
    WindowStage,
)
from pipelines.stages.tokenizer import shards_with


class CutParameters(BaseModel):
    """What decides the spans, given what repeats."""

    model_config = ConfigDict(frozen=True)
    words: int
    line_bytes: int
    least: int
    exclude: tuple[str, ...]
    partitions: int

    @property
    def limits(self) -> Limits:
        """The same, as the kernels take it."""
        return Limits(self.words, self.line_bytes, self.least)


def passage_stages(root: str, section: PassageParameters | None) -> list[Stage]:
    """The stages in order, none without a section; they take documents, duplicates and verdicts from those before."""
    if section is None:
        return []
    chosen = section.model_dump()

    def only(model: type[BaseModel]) -> Any:
        return model(**{name: chosen[name] for name in model.model_fields})

    return [
        AnchorStage(root, only(WindowParameters)),
        SharedAnchorStage(root, only(WindowParameters)),
        WindowStage(root, only(WindowParameters)),
        RepeatStage(root, only(WindowParameters)),
        SiteLineStage(root, only(LineParameters)),
        BoilerplateStage(root, only(BoilerplateParameters)),
        PassageStage(root, only(CutParameters)),
    ]


class PassageStage(Stage[CutParameters]):
    """documents of dump=D/N.parquet + dedup/repeats + dedup/boilerplate -> passages/dump=D/N.parquet: id, spans"""

    name: ClassVar[str] = "passages"
    group: ClassVar[str] = "passages"
    folder: ClassVar[str] = "passages"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard; one that is excluded has no spans."""
        found = [whole(done, name, self.parameters.partitions) for name in ("repeats", "boilerplate")]
        places = [
            {task.output.split("/", 2)[2]: place for place, task in enumerate(done[name])}
            for name in ("windows", "site_lines")
        ]
        tasks = []
        for shard, inputs in shards_with(done, "documents", "duplicates", "verdicts"):
            if partition_of(shard) in self.parameters.exclude:
                tasks.append(self.task(f"{self.folder}/{shard}", inputs))
            elif all(shard in place for place in places):
                where = {"windows": places[0][shard], "lines": places[1][shard]}
                tasks.append(self.task(f"{self.folder}/{shard}", [*inputs, *found], **where))
        return tasks

    def run(self, task: Task) -> Counts:
        """Turn the marks of the shard into spans; the counts are of kept documents, by language and kind of span."""
        windows = lines = NO_MARKS
        if "windows" in task.arguments:
            repeats, boilerplate = task.inputs[3:]
            windows = read_marks(self, repeats, task.arguments["windows"], self.parameters.partitions)
            lines = read_marks(self, boilerplate, task.arguments["lines"], self.parameters.partitions)
        counts: Counts = {"documents": 0, "bytes": 0, "languages": {}}
        with table.ShardWriter(self.path(task.output), spans.SCHEMA) as writer:
            for first, documents, keep in documents_and_keep(self, task, ["id", "language", "text"]):
                last = first + len(documents)
                here = _between(windows, first, last), _between(lines, first, last)
                found = spans_to_cut(documents["text"], *here, self.parameters.limits)
                writer.write(spans.span_table(documents["id"], found))
                add_counts(counts, _count(documents, keep, found))
            writer.metadata = task.stamp(counts)
        return counts


def _between(marks: Marks, first: int, last: int) -> Marks:
    """The marks in rows `first` to `last - 1`, counted from `first`."""
    start, end = np.searchsorted(marks.rows, [first, last])
    return Marks(marks.rows[start:end] - first, marks.places[start:end])


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
