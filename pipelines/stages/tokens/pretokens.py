"""`pretokens`: the counts of all shards added up, a range of hashes per task."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from corpus.io import table
from pipelines.engine.shapes import PartitionStage
from pipelines.engine.stage import Task, Upstream
from pipelines.stages.tokens.pretoken_counts import PretokenCounts, write_pretokens
from tokenizer.pretoken_counts import SCHEMA, merge_counts


class PretokenParameters(BaseModel):
    """How counts are added up."""

    model_config = ConfigDict(frozen=True)
    partitions: int
    min_count: int


class PretokenStage(PartitionStage[PretokenParameters]):
    """tokenizer/pretoken_counts/** -> tokenizer/pretokens/NNNNN.parquet: the sums of one range of hashes"""

    name: ClassVar[str] = "pretokens"
    folder: ClassVar[str] = "tokenizer/pretokens"
    phase: ClassVar[str] = "tokenizer"
    reads = ("pretoken_counts",)

    def partitions(self, upstream: Upstream) -> int:
        """As many as the recipe says."""
        return self.parameters.partitions

    def expected_tasks(self, document_shards: int) -> int:
        """One per partition."""
        return self.parameters.partitions

    def run(self, task: Task) -> PretokenCounts:
        """Add up the range over all shards and drop what is rarer than min_count."""
        part, parts = task.arguments["partition"], task.arguments["partitions"]
        first, last = (part << 64) // parts, ((part + 1) << 64) // parts - 1
        tables = (table.read_between(self.path(path), "hash", first, last, SCHEMA.names) for path in task.inputs)
        pretokens = merge_counts(tables, self.parameters.min_count)
        counts: PretokenCounts = {"documents": 0, "bytes": 0, "pretokens": len(pretokens)}
        write_pretokens(self.path(task.output), pretokens, task.stamp(counts))
        return counts
