"""`tokenizer`: byte-level BPE trained from the counts of pretokens."""

from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.io import storage, table
from corpus.io.checksum import file_entry
from pipelines.engine.shapes import SingleStage
from pipelines.engine.stage import Task
from pipelines.stages.tokens.pretoken_counts import PretokenCounts
from tokenizer.pretoken_counts import SCHEMA
from tokenizer.train import train
from tokenizer.vocabulary import SPECIAL_TOKENS, Vocabulary

FOLDER = "tokenizer"
VOCABULARY = f"{FOLDER}/tokenizer.json"


class TokenizerCounts(PretokenCounts, total=False):
    """What a tokenizer was trained on."""

    merges: int


class TrainingParameters(BaseModel):
    """What decides the vocabulary, given the counts."""

    model_config = ConfigDict(frozen=True)
    vocab_size: int
    model_vocab_size: int | None
    min_frequency: int


class TokenizerStage(SingleStage[TrainingParameters]):
    """tokenizer/pretokens/** -> tokenizer/manifest.json, with tokenizer.json and tokenizer_config.json beside it"""

    name: ClassVar[str] = "tokenizer"
    phase: ClassVar[str] = "tokenizer"
    reads = ("pretokens",)
    output = f"{FOLDER}/manifest.json"

    def run(self, task: Task) -> TokenizerCounts:
        """Train and save."""
        pretokens = pa.concat_tables([table.read_table(self.path(path), SCHEMA.names) for path in task.inputs])
        merges = train(pretokens, self.parameters.vocab_size, self.parameters.min_frequency)
        vocabulary = Vocabulary.from_merges(merges, self.parameters.model_vocab_size)
        vocabulary.save(self.path(VOCABULARY))
        counts: TokenizerCounts = {
            "documents": 0,
            "bytes": 0,
            "pretokens": len(pretokens),
            "merges": len(merges.made),
        }
        names = ("tokenizer.json", "tokenizer_config.json")
        manifest: dict[str, Any] = {
            "hash": vocabulary.hash,
            "vocab_size": vocabulary.size,
            "conventional_tokens": len(vocabulary.tokens),
            "special_tokens": SPECIAL_TOKENS,
            "model_vocab_size": vocabulary.model_size,
            "bos": vocabulary.bos,
            "eos": vocabulary.eos,
            "files": {name: file_entry(self.path(f"{FOLDER}/{name}")) for name in names},
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | manifest)
        return counts
