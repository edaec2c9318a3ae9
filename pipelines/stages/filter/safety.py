"""Safety as three stages: `personal` finds personal data and writes spans, `safety` measures what trade a page is of,
`lists` looks addresses up. Signals become verdicts by thresholds; spans are applied where text is tokenized."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus import spans
from corpus.io import storage, table
from corpus.safety import signals
from corpus.safety.lists import UrlList, read_list
from corpus.safety.personal import personal_spans
from pipelines.config.safety import SafetyParameters
from pipelines.engine.stage import Counts, NoParameters, Source, Stage, Task
from pipelines.stages.filter.annotate import annotate

SAFETY_SCHEMA = pa.schema([pa.field("id", pa.string()), *signals.SCHEMA])
LISTS_SCHEMA = pa.schema(
    [("id", pa.string()), ("blocked", pa.int8()), ("opted_out", pa.int8()), ("allowed", pa.bool_())]
)


class PersonalParameters(BaseModel):
    """The kinds of personal data that are looked for."""

    model_config = ConfigDict(frozen=True)
    kinds: tuple[str, ...]


class ListParameters(BaseModel):
    """The files of each list."""

    model_config = ConfigDict(frozen=True)
    block: tuple[str, ...]
    allow: tuple[str, ...]
    opt_out: tuple[str, ...]


def safety_stages(root: str, section: SafetyParameters) -> list[Stage]:
    """The stages that the recipe's section asks for."""
    lists = ListParameters(block=section.block, allow=section.allow, opt_out=section.opt_out)
    stages: list[Stage] = []
    if section.personal:
        stages.append(PersonalStage(root, PersonalParameters(kinds=section.personal)))
    if section.trades:
        stages.append(SafetyStage(root, NoParameters()))
    if any(lists.model_dump().values()):
        stages.append(ListStage(root, lists))
    return stages


class PersonalStage(Stage[PersonalParameters]):
    """documents/dump=D/N.parquet -> personal/dump=D/N.parquet: id and spans"""

    name: ClassVar[str] = "personal"
    version: ClassVar[int] = 2
    folder: ClassVar[str] = "personal"
    phase: ClassVar[str] = "safety"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard of documents."""
        return [self.task(task.output.replace("documents/", "personal/", 1), [task]) for task in done["documents"]]

    def run(self, task: Task) -> Counts:
        """Scan a shard, a row group at a time; the counts say how many spans there are of each kind."""

        def found_in(documents: pa.Table, counts: Counts) -> pa.Table:
            found = _of_kinds(personal_spans(documents["text"]), self.parameters.kinds)
            for kind in pc.value_counts(found.kinds).to_pylist():
                counts["kinds"][kind["values"]] += kind["counts"]
            return spans.span_table(documents["id"], found)

        kinds = dict.fromkeys(sorted(self.parameters.kinds), 0)
        return annotate(self, task, spans.SCHEMA, found_in, kinds=kinds)


class SafetyStage(Stage[NoParameters]):
    """documents/dump=D/N.parquet -> safety/dump=D/N.parquet: id, adult_share, gambling_share, spam_share"""

    name: ClassVar[str] = "safety"
    folder: ClassVar[str] = "safety"
    phase: ClassVar[str] = "safety"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard of documents; the lexicon is part of its fingerprint."""
        version = signals.lexicon_hash()
        return [
            self.task(task.output.replace("documents/", "safety/", 1), [task], lexicon=version)
            for task in done["documents"]
        ]

    def run(self, task: Task) -> Counts:
        """Measure a shard, a row group at a time."""

        def shares_of(documents: pa.Table, counts: Counts) -> pa.Table:
            shares = signals.trade_shares(documents["text"])
            return pa.Table.from_arrays([documents["id"], *shares.columns], schema=SAFETY_SCHEMA)

        return annotate(self, task, SAFETY_SCHEMA, shares_of)


class ListStage(Stage[ListParameters]):
    """The addresses of documents/dump=D/N.parquet, the lists -> lists/dump=D/N.parquet: blocked, opted_out, allowed"""

    name: ClassVar[str] = "lists"
    folder: ClassVar[str] = "lists"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "safety"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard of documents; the files of the lists are inputs of each."""
        patterns = [pattern for listed in self.parameters.model_dump().values() for pattern in listed]
        paths = dict.fromkeys(path for pattern in patterns for path in storage.expand(pattern))
        files = [Source(path, storage.identify(path)) for path in paths]
        return [self.task(task.output.replace("documents/", "lists/", 1), [task, *files]) for task in done["documents"]]

    def run(self, task: Task) -> Counts:
        """Look up a shard's addresses: an allowed one is not blocked, but it may have opted out."""
        versions = tuple(storage.identify(path) for path in task.inputs[1:])
        block, allow, opt_out = (
            _list(patterns, versions)
            for patterns in (self.parameters.block, self.parameters.allow, self.parameters.opt_out)
        )
        documents = table.read_table(self.path(task.inputs[0]), ["id", "url"])
        allowed = allow.contains(documents["url"])
        blocked = block.contains(documents["url"]) & ~allowed
        opted_out = opt_out.contains(documents["url"])
        columns = [documents["id"], blocked.astype(np.int8), opted_out.astype(np.int8), allowed]
        counts = {"documents": len(documents), "blocked": int(blocked.sum()), "opted_out": int(opted_out.sum())}
        with table.ShardWriter(self.path(task.output), LISTS_SCHEMA) as writer:
            writer.write(pa.table(columns, schema=LISTS_SCHEMA))
            writer.metadata = task.stamp(counts)
        return counts


def _of_kinds(found: spans.Spans, kinds: Sequence[str]) -> spans.Spans:
    keep = pc.is_in(found.kinds, pa.array(kinds, pa.string())).to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(keep)])
    chosen = found.kinds.filter(pa.array(keep))
    return spans.Spans(before[found.offsets], found.starts[keep], found.ends[keep], chosen)


@lru_cache(maxsize=4)
def _list(patterns: tuple[str, ...], versions: tuple[str, ...]) -> UrlList:
    """A list in memory, once for a worker and each version of its files."""
    return read_list(patterns)
