"""`fertility`: bytes per token of the whole corpus, by language and domain."""

from typing import ClassVar

from corpus.io import storage, table
from pipelines.engine.shapes import SingleStage
from pipelines.engine.stage import NoParameters, Task
from pipelines.engine.stamps import add_counts
from pipelines.stages.tokens.encoded import EncodedCounts, TokenCounts
from tokenizer.evaluate import fertility


class FertilityStage(SingleStage[NoParameters]):
    """The counts of tokens/encoded/** -> tokenizer/report.json"""

    name: ClassVar[str] = "fertility"
    phase: ClassVar[str] = "tokens"
    reads = ("tokenizer", "encoded")
    output = "tokenizer/report.json"

    def run(self, task: Task) -> TokenCounts:
        """Add up what the footers of the encoded shards count, of every kept document."""
        total: EncodedCounts = {"documents": 0, "bytes": 0, "tokens": 0, "languages": {}, "domains": {}, "training": {}}
        for path in task.of("encoded"):
            add_counts(total, table.require_metadata(self.path(path))["counts"])
        manifest = storage.read_json(self.path(task.one("tokenizer")))
        counts = TokenCounts(documents=total["documents"], bytes=total["bytes"], tokens=total["tokens"])
        report = {
            "languages": fertility(total["languages"]),
            "domains": fertility(total["domains"]),
            "training": total["training"],
            "bytes_per_token": total["bytes"] / total["tokens"] if total["tokens"] else 0.0,
            **{name: manifest[name] for name in ("vocab_size", "conventional_tokens", "model_vocab_size", "hash")},
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | report)
        return counts
