"""What the tokenizer and the token shards read: the kept text of a shard, without the spans that other stages found.

Repeated passages are cut, personal data is masked (`corpus.spans`). A shard whose spans had to be set aside is not read
at all: no tokens are better than tokens of what should have been cut.
"""

from collections.abc import Iterator
from typing import TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.io import table
from corpus.spans import cut
from pipelines.engine.shapes import ShardStage
from pipelines.engine.stage import Task, Upstream

SPAN_TABLES = ("passages", "personal")  # names of stages and of the tables of spans that they make


class TextParameters(BaseModel):
    """What decides the text that is left of a document."""

    model_config = ConfigDict(frozen=True)
    replacements: dict[str, str]  # of spans, by kind; other spans are cut


T = TypeVar("T", bound=TextParameters)


class TextStage(ShardStage[T]):
    """A task per shard that has documents, domains, and each table of spans that the run makes."""

    reads = ("documents", "domains")
    optional = SPAN_TABLES

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per shard that lacks none of these tables."""
        planned = [stage for stage in self.optional if stage in upstream]
        return [task for task in super().plan(upstream) if all(task.has(stage) for stage in planned)]

    def texts(self, task: Task, columns: list[str]) -> Iterator[tuple[pa.Table, pa.Table]]:
        """The shard's documents, a row group at a time, each with its rows of the domains table.

        The first table has `id`, `text` without spans, and `columns`; the second `id`, `domain`, `keep` and `split`.
        Raises CorruptShard where the ids of the shard's tables differ.
        """
        beside = [task.one(stage) for stage in ("domains", *self.optional) if task.has(stage)]
        tables = [table.read_table(self.path(path)) for path in beside]
        first = 0
        for batch in table.iter_batches(self.path(task.one("documents")), ["id", "text", *columns]):
            domains, *spans = (rows.slice(first, len(batch)) for rows in tables)
            for rows, path in zip((domains, *spans), beside):
                table.check_ids(batch, rows, self.path(path))
            first += len(batch)
            text = cut(batch["text"], spans, self.parameters.replacements)
            yield batch.set_column(batch.column_names.index("text"), "text", text), domains
