"""A table beside the documents: the base of every stage that reads texts and says something of each."""

from abc import abstractmethod
from typing import ClassVar, TypeVar

import pyarrow as pa
from pydantic import BaseModel

from corpus.io import table
from pipelines.engine.shapes import ShardStage
from pipelines.engine.stage import Counts, Task
from pipelines.engine.stamps import add_counts

P = TypeVar("P", bound=BaseModel)


class AnnotateStage(ShardStage[P]):
    """documents/dump=D/N.parquet -> <folder>/dump=D/N.parquet: a row of `schema` per document, in the same order"""

    schema: ClassVar[pa.Schema]

    @abstractmethod
    def annotate(self, documents: pa.Table, task: Task) -> tuple[pa.Table, Counts]:
        """The rows for some documents (id, language, length, text), and what is counted of them beside their number."""

    def run(self, task: Task) -> Counts:
        """Annotate a shard, a row group at a time."""
        counts: Counts = {"documents": 0, "bytes": 0}
        with table.ShardWriter(self.path(task.output), self.schema) as writer:
            for documents in table.iter_batches(self.path(task.inputs[0]), ["id", "language", "length", "text"]):
                rows, found = self.annotate(documents, task)
                writer.write(rows)
                size: Counts = {"documents": len(documents), "bytes": int(documents["length"].to_numpy().sum())}
                add_counts(add_counts(counts, size), found)
            writer.metadata = task.stamp(counts)
        return counts
