"""The tokenizer judged on held-out text, as two stages: `evaluated` by shard, `evaluation` summed up.

A sample of the documents that neither the tokenizer nor the model has seen is encoded with the vocabulary, with its
first 8,000, 16,000 ... tokens, which are the vocabularies that a smaller size would have given, and with the other
tokenizers that the recipe names. Sums of bytes and tokens by language and domain stand in the footers, how often each
token came up in the rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.io import storage, table
from pipelines.config.recipe import Recipe
from pipelines.engine.stage import Counts, NoParameters, Source, Stage, Task
from pipelines.engine.stamps import add_counts
from pipelines.stages.tokens.tokenizer import shards_to_tokenize, texts_to_tokenize
from tokenizer.encode import Encoder
from tokenizer.evaluate import (
    count_scripts,
    cut_vocabulary,
    fertility,
    load_reference,
    longest_tokens,
    reference_lengths,
    sum_by,
    sweep_sizes,
    unused_tokens,
)
from tokenizer.order import document_hashes, sampled
from tokenizer.vocabulary import load_vocabulary

OURS = "this tokenizer"
_USAGE = pa.schema([pa.field("token", pa.int32()), pa.field("count", pa.int64())])


class EvaluationParameters(BaseModel):
    """What is measured, and with what."""

    model_config = ConfigDict(frozen=True)
    evaluation_bytes: int
    references: dict[str, str]
    seed: int
    replacements: dict[str, str]


def evaluation_stages(root: str, recipe: Recipe) -> list[Stage]:
    """The stages in order."""
    section = recipe.tokenizer
    parameters = EvaluationParameters(
        evaluation_bytes=section.evaluation_bytes,
        references=section.references,
        seed=section.seed,
        replacements=recipe.safety.replacements,
    )
    return [EvaluationShardStage(root, parameters), TokenizerEvaluationStage(root, NoParameters())]


class EvaluationShardStage(Stage[EvaluationParameters]):
    """documents, domains and spans of dump=D/N.parquet + plan + tokenizer -> tokenizer/evaluation/dump=D/N.parquet"""

    name: ClassVar[str] = "tokenizer_evaluation_shards"
    folder: ClassVar[str] = "tokenizer/evaluation"
    phase: ClassVar[str] = "tokenizer"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard."""
        references = [Source(path, storage.identify(path)) for path in self.parameters.references.values()]
        return [
            self.task(f"tokenizer/evaluation/{shard}", [*tasks, *done["mixture"], *done["tokenizer"], *references])
            for shard, tasks in shards_to_tokenize(done)
        ]

    def run(self, task: Task) -> Counts:
        """Encode the shard's part of the sample with every tokenizer."""
        *tables, plan, _ = (
            self.path(path) for path in task.inputs[: len(task.inputs) - len(self.parameters.references)]
        )
        held_out = sum(row["validation"]["bytes"] for row in storage.read_json(plan)["domains"])
        share = self.parameters.evaluation_bytes / max(1, held_out)
        vocabulary = load_vocabulary(self.path("tokenizer/tokenizer.json"))
        encoders = {OURS: Encoder(vocabulary, eos=False)}
        for size in sweep_sizes(len(vocabulary.tokens)):
            encoders[f"its first {size:,} tokens"] = Encoder(cut_vocabulary(vocabulary, size), eos=False)
        references = {name: load_reference(name, path) for name, path in self.parameters.references.items()}
        usage = np.zeros(vocabulary.size, np.int64)
        counts: Counts = {"documents": 0, "bytes": 0, "fit": {name: {} for name in [*encoders, *references]}}
        for batch, marks in texts_to_tokenize(tables, self.parameters.replacements, ["language"]):
            held = pc.and_(marks["keep"], pc.equal(marks["split"], "validation")).to_numpy()
            chosen = pa.array(held & sampled(document_hashes(batch["id"], self.parameters.seed), share))
            batch, marks = batch.filter(chosen), marks.filter(chosen)
            sizes = pc.binary_length(batch["text"]).to_numpy()
            add_counts(counts, {"documents": len(batch), "bytes": int(sizes.sum())})
            for name, encoder in encoders.items():
                tokens, lengths = encoder.encode_column(batch["text"])
                if name == OURS:
                    usage += np.bincount(tokens, minlength=len(usage))
                _add(counts["fit"][name], batch, marks, sizes, lengths)
            for name, reference in references.items():
                _add(counts["fit"][name], batch, marks, sizes, reference_lengths(reference, batch["text"]))
        used = np.flatnonzero(usage).astype(np.int32)
        with table.ShardWriter(self.path(task.output), _USAGE) as writer:
            writer.write(pa.table([used, usage[used]], schema=_USAGE))
            writer.metadata = task.stamp(counts)
        return counts


def _add(fit: Counts, batch: pa.Table, marks: pa.Table, sizes: Any, lengths: Any) -> None:
    """Add the documents' bytes and tokens by language and domain."""
    groups = {"languages": batch["language"], "domains": marks["domain"]}
    add_counts(fit, {group: sum_by(names.to_pylist(), sizes, lengths) for group, names in groups.items()})


class TokenizerEvaluationStage(Stage[NoParameters]):
    """tokenizer/evaluation/** -> tokenizer/evaluation.json"""

    name: ClassVar[str] = "tokenizer_evaluation"
    phase: ClassVar[str] = "tokenizer"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task over all shards."""
        return [self.task("tokenizer/evaluation.json", [*done["tokenizer"], *done["tokenizer_evaluation_shards"]])]

    def run(self, task: Task) -> Counts:
        """Add up, and look at the vocabulary."""
        vocabulary = load_vocabulary(self.path("tokenizer/tokenizer.json"))
        usage = np.zeros(vocabulary.size, np.int64)
        total: Counts = {"documents": 0, "bytes": 0, "fit": {}}
        for path in task.inputs[1:]:
            add_counts(total, table.require_metadata(self.path(path))["counts"])
            rows = table.read_table(self.path(path))
            usage[rows["token"].to_numpy()] += rows["count"].to_numpy()
        counts: Counts = {name: total[name] for name in ("documents", "bytes")}
        report = {
            "fit": {
                name: {group: fertility(sums) for group, sums in groups.items()}
                for name, groups in total["fit"].items()
            },
            "scripts": count_scripts(vocabulary.tokens),
            "longest": longest_tokens(vocabulary.tokens),
            "unused": unused_tokens(vocabulary, usage[: len(vocabulary.tokens)]),
            "text": counts,
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | report)
        return counts
