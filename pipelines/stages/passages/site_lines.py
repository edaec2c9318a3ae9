"""Boilerplate through storage, in two stages: `site_lines` by group of shards, and `boilerplate` by range of sites.

All lines of a site, whatever dumps they are in, meet in one task, because their keys travel by site. A site that alone
has more lines than fit in memory is read in several passes, each of which counts some of its lines. How many it has is
found by counting: a pass that meets too many is left and done as two, so the bound holds whatever the footers say.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.io import table
from corpus.io.range_shuffle import Exchange, Window
from corpus.passages.site_lines import line_keys
from corpus.passages.tally import KEY_BYTES, Tally
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup.partition_plan import tasks_over
from pipelines.stages.passages.shuffle import (
    GroupMarks,
    KeyWriter,
    Part,
    by_group,
    documents_of,
    groups_of,
    kept_documents,
    key_exchange,
    write_marks,
)

LINE_BYTES = 2 * KEY_BYTES  # a line, which may be its site's first
LINE_SCHEMA = pa.schema(
    [
        pa.field("site", pa.uint64(), nullable=False),
        pa.field("key", pa.uint64(), nullable=False),  # of the site and the line's words
        pa.field("document", pa.uint32(), nullable=False),  # its code in its group
        pa.field("line", pa.uint32(), nullable=False),  # its number among the lines that have words
    ]
)


class LineParameters(BaseModel):
    """Whose lines take part, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    exclude: tuple[str, ...]
    shards_per_group: int
    partitions: int
    budget: int


class BoilerplateParameters(BaseModel):
    """What makes a line boilerplate, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    line_documents: int
    line_share: float
    partitions: int
    budget: int


class SiteLineStage(Stage[LineParameters]):
    """documents, duplicates, verdicts of a group of shards -> dedup/site_lines/dump=D/G.parquet"""

    name: ClassVar[str] = "site_lines"
    phase: ClassVar[str] = "passages"

    def expected_tasks(self, document_shards: int) -> int:
        """One a group of shards."""
        return -(-document_shards // self.parameters.shards_per_group)

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per group of shards."""
        groups = groups_of(done, self.parameters.exclude, self.parameters.shards_per_group)
        return [self.task(f"dedup/site_lines/{group}.parquet", tasks) for group, tasks in groups.items()]

    def run(self, task: Task) -> Counts:
        """Write the lines of the kept documents."""
        counts: Counts = {"documents": 0, "bytes": 0}
        with table.ShardWriter(self.path(task.output), LINE_SCHEMA, dictionary=False) as writer:
            keys = KeyWriter(writer, self.parameters.partitions, self.parameters.budget)
            for codes, documents in kept_documents(self, task, self.parameters.shards_per_group, ["site", "text"]):
                found = line_keys(documents["text"], documents["site"])
                keys.add(found.sites, found.keys, codes[found.rows], found.lines)
                counts["documents"] += len(documents)
                counts["bytes"] += pc.sum(pc.binary_length(documents["text"])).as_py() or 0
            keys.flush()
            writer.metadata = task.stamp(counts | {"keys": keys.rows})
        return counts | {"keys": keys.rows}


class BoilerplateStage(Stage[BoilerplateParameters]):
    """dedup/site_lines/** -> dedup/boilerplate/NNNNN.parquet: (document, line) of the boilerplate of a range of
    sites"""

    name: ClassVar[str] = "boilerplate"
    phase: ClassVar[str] = "passages"

    def expected_tasks(self, document_shards: int) -> int:
        """One a partition."""
        return self.parameters.partitions

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per range of sites, over the groups of all dumps."""
        return tasks_over(self, "dedup/boilerplate", done["site_lines"], self.parameters.partitions)

    def run(self, task: Task) -> Counts:
        """Count the documents of each site and line, then mark the lines, but for the first document of each."""
        return write_marks(self, task, self._boilerplate(task))

    def _boilerplate(self, task: Task) -> GroupMarks:
        exchange = key_exchange(self, task, "site", self.parameters.partitions)
        for window in exchange.windows(self.parameters.budget, LINE_BYTES):
            waiting = [Part(0, 1)]
            while waiting:
                part = waiting.pop()
                if not (yield from self._marked(exchange, window, part)):
                    waiting += part.halves()
        exchange.close()

    def _marked(self, exchange: Exchange, window: Window, part: Part) -> Generator[Any, None, bool]:
        """The boilerplate of a window of sites, group by group, of one part of its lines; whether that fits in memory:
        where it does not, none."""
        sites, lines = Tally(), Tally()
        for place, tables in by_group(exchange, window):
            for rows in tables:
                documents, keys = documents_of(place, rows["document"].to_numpy()), rows["key"].to_numpy()
                mine = part.has(keys)
                sites.add(rows["site"].to_numpy(), documents)
                lines.add(keys[mine], documents[mine])
                if len(lines.numbering) * LINE_BYTES > self.parameters.budget and len(lines.numbering) > 1:
                    return False
        for place, tables in by_group(exchange, window):
            for rows in tables:
                rows = rows.filter(pa.array(part.has(rows["key"].to_numpy())))
                documents = documents_of(place, rows["document"].to_numpy())
                have, first = lines.of(rows["key"].to_numpy())
                least = self.parameters.line_share * sites.of(rows["site"].to_numpy())[0]
                chosen = (have >= self.parameters.line_documents) & (have >= least) & (documents != first)
                yield place, documents[chosen], rows["line"].to_numpy()[chosen]
        return True
