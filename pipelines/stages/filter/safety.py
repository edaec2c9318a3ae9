"""Safety as three stages: `personal` finds personal data and writes spans, `safety` measures what trade a page is of,
`lists` looks addresses up. Signals become verdicts by thresholds; spans are applied where text is tokenized."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

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
from pipelines.engine.shapes import ShardStage
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import RAW, Counts, NoParameters, Source, Stage, Task, Upstream
from pipelines.stages.filter.annotate import AnnotateStage

LISTS_SCHEMA = pa.schema(
    [("id", pa.string()), ("blocked", pa.int8()), ("opted_out", pa.int8()), ("allowed", pa.bool_())]
)


class PersonalCounts(Counts, total=False):
    """How many spans there are of each kind."""

    kinds: dict[str, int]


class ListCounts(Counts, total=False):
    """How many documents are on a list."""

    blocked: int
    opted_out: int


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


class PersonalStage(AnnotateStage[PersonalParameters]):
    """documents -> personal: id and spans"""

    name: ClassVar[str] = "personal"
    version: ClassVar[int] = 2
    folder: ClassVar[str] = "personal"
    phase: ClassVar[str] = "filter"
    schema: ClassVar[pa.Schema] = spans.SCHEMA

    def annotate(self, documents: pa.Table, task: Task) -> tuple[pa.Table, PersonalCounts]:
        """The spans of the kinds that the recipe names."""
        found = _of_kinds(personal_spans(documents["text"]), self.parameters.kinds)
        kinds = dict.fromkeys(sorted(self.parameters.kinds), 0)
        kinds |= {row["values"]: row["counts"] for row in pc.value_counts(found.kinds).to_pylist()}
        return spans.span_table(documents["id"], found), {"kinds": kinds}


class SafetyStage(AnnotateStage[NoParameters]):
    """documents -> safety: id, adult_share, gambling_share, spam_share"""

    name: ClassVar[str] = "safety"
    folder: ClassVar[str] = "safety"
    phase: ClassVar[str] = "filter"
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("id", pa.string()), *signals.SCHEMA])

    def arguments(self, shard: ShardRef, upstream: Upstream) -> dict[str, Any]:
        """The hash of the lexicon."""
        return {"lexicon": signals.lexicon_hash()}

    def annotate(self, documents: pa.Table, task: Task) -> tuple[pa.Table, Counts]:
        """The share of each trade's phrases."""
        shares = signals.trade_shares(documents["text"])
        return pa.Table.from_arrays([documents["id"], *shares.columns], schema=self.schema), {}


class ListStage(ShardStage[ListParameters]):
    """The addresses of documents, files of lists -> lists: id, blocked, opted_out, allowed"""

    name: ClassVar[str] = "lists"
    folder: ClassVar[str] = "lists"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "filter"

    def raw_inputs(self) -> Sequence[Source]:
        """The files of the lists."""
        patterns = [pattern for listed in self.parameters.model_dump().values() for pattern in listed]
        paths = dict.fromkeys(path for pattern in patterns for path in storage.expand(pattern))
        return [Source(path, storage.identify(path)) for path in paths]

    def run(self, task: Task) -> ListCounts:
        """Look up a shard's addresses: an allowed one is not blocked, but it may have opted out."""
        versions = tuple(storage.identify(path) for path in task.of(RAW))
        lists = (self.parameters.block, self.parameters.allow, self.parameters.opt_out)
        documents = table.read_table(self.path(task.one("documents")), ["id", "url"])
        blocked, allowed, opted_out = (_list(patterns, versions).contains(documents["url"]) for patterns in lists)
        blocked &= ~allowed
        columns = [documents["id"], blocked.astype(np.int8), opted_out.astype(np.int8), allowed]
        counts: ListCounts = {"documents": len(documents)}
        counts |= {"blocked": int(blocked.sum()), "opted_out": int(opted_out.sum())}
        return self.write(task, pa.table(columns, schema=LISTS_SCHEMA), counts)


def _of_kinds(found: spans.Spans, kinds: Sequence[str]) -> spans.Spans:
    keep = pc.is_in(found.kinds, pa.array(kinds, pa.string())).to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(keep)])
    chosen = found.kinds.filter(pa.array(keep))
    return spans.Spans(before[found.offsets], found.starts[keep], found.ends[keep], chosen)


@lru_cache(maxsize=4)
def _list(patterns: tuple[str, ...], versions: tuple[str, ...]) -> UrlList:
    """A list in memory, once per worker and version of its files."""
    return read_list(patterns)
