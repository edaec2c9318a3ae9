"""The tokenizer judged on held-out text: `tokenizer_evaluation_shards` by shard, `tokenizer_evaluation` summed up.

The sample is of documents that were used for no training, of the tokenizer or of the model. It is encoded with the
vocabulary, with its first 8,000, 16,000 ... tokens, which are the vocabularies that a smaller size would have given,
and with the other tokenizers that the recipe names. The footers hold sums of bytes and tokens by language and domain,
the rows how often each token occurred.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.io import storage, table
from pipelines.engine.shapes import SingleStage
from pipelines.engine.stage import Counts, NoParameters, Source, Task
from pipelines.engine.stamps import add_counts
from pipelines.stages.tokens.texts import TextParameters, TextStage
from pipelines.stages.tokens.tokenizer import VOCABULARY
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
Fit = dict[str, dict[str, dict[str, int]]]  # "languages" or "domains": by name, documents, bytes and tokens


class EvaluationCounts(Counts, total=False):
    """What each tokenizer makes of the sample."""

    fit: dict[str, Fit]  # by tokenizer


class EvaluationParameters(TextParameters):
    """What is measured, and with what."""

    evaluation_bytes: int
    references: dict[str, str]
    seed: int


class EvaluationShardStage(TextStage[EvaluationParameters]):
    """documents, domains and spans of dump=D/N.parquet + plan + tokenizer -> tokenizer/evaluation/dump=D/N.parquet"""

    name: ClassVar[str] = "tokenizer_evaluation_shards"
    folder: ClassVar[str] = "tokenizer/evaluation"
    phase: ClassVar[str] = "tokenizer"
    uses = ("mixture", "tokenizer")

    def raw_inputs(self) -> Sequence[Source]:
        """The other tokenizers."""
        return [Source(path, storage.identify(path)) for path in self.parameters.references.values()]

    def run(self, task: Task) -> EvaluationCounts:
        """Encode the shard's part of the sample with every tokenizer."""
        plan = storage.read_json(self.path(task.one("mixture")))
        held_out = sum(row["validation"]["bytes"] for row in plan["domains"])
        share = self.parameters.evaluation_bytes / max(1, held_out)
        vocabulary = load_vocabulary(self.path(VOCABULARY))
        encoders = {OURS: Encoder(vocabulary, eos=False)}
        for size in sweep_sizes(len(vocabulary.tokens)):
            encoders[f"its first {size:,} tokens"] = Encoder(cut_vocabulary(vocabulary, size), eos=False)
        references = {name: load_reference(name, path) for name, path in self.parameters.references.items()}
        usage = np.zeros(vocabulary.size, np.int64)
        counts: EvaluationCounts = {"documents": 0, "bytes": 0, "fit": {n: {} for n in [*encoders, *references]}}
        for batch, domains in self.texts(task, ["language"]):
            held = pc.and_(domains["keep"], pc.equal(domains["split"], "validation")).to_numpy()
            chosen = pa.array(held & sampled(document_hashes(batch["id"], self.parameters.seed), share))
            batch, domains = batch.filter(chosen), domains.filter(chosen)
            sizes = pc.binary_length(batch["text"]).to_numpy()
            add_counts(counts, {"documents": len(batch), "bytes": int(sizes.sum())})
            for name, encoder in encoders.items():
                tokens, lengths = encoder.encode_column(batch["text"])
                if name == OURS:
                    usage += np.bincount(tokens, minlength=len(usage))
                add_counts(counts["fit"][name], _fit(batch, domains, sizes, lengths.astype(np.int64)))
            for name, reference in references.items():
                others = reference_lengths(reference, batch["text"])
                add_counts(counts["fit"][name], _fit(batch, domains, sizes, others))
        used = np.flatnonzero(usage).astype(np.int32)
        with table.ShardWriter(self.path(task.output), _USAGE) as writer:
            writer.write(pa.table([used, usage[used]], schema=_USAGE))
            writer.metadata = task.stamp(counts)
        return counts


def _fit(batch: pa.Table, domains: pa.Table, sizes: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> Fit:
    """The documents' bytes and tokens by language and domain."""
    names = {"languages": batch["language"], "domains": domains["domain"]}
    return {key: sum_by(column.to_pylist(), sizes, lengths) for key, column in names.items()}


class TokenizerEvaluationStage(SingleStage[NoParameters]):
    """tokenizer/evaluation/** -> tokenizer/evaluation.json"""

    name: ClassVar[str] = "tokenizer_evaluation"
    phase: ClassVar[str] = "tokenizer"
    reads = ("tokenizer", "tokenizer_evaluation_shards")
    output = "tokenizer/evaluation.json"

    def run(self, task: Task) -> Counts:
        """Add up, and look at the vocabulary."""
        vocabulary = load_vocabulary(self.path(VOCABULARY))
        usage = np.zeros(vocabulary.size, np.int64)
        total: EvaluationCounts = {"documents": 0, "bytes": 0, "fit": {}}
        for path in task.of("tokenizer_evaluation_shards"):
            add_counts(total, table.require_metadata(self.path(path))["counts"])
            rows = table.read_table(self.path(path))
            usage[rows["token"].to_numpy()] += rows["count"].to_numpy()
        counts: Counts = {"documents": total["documents"], "bytes": total["bytes"]}
        report = {
            "fit": {name: {key: fertility(sums) for key, sums in fit.items()} for name, fit in total["fit"].items()},
            "scripts": count_scripts(vocabulary.tokens),
            "longest": longest_tokens(vocabulary.tokens),
            "unused": unused_tokens(vocabulary, usage[: len(vocabulary.tokens)]),
            "text": counts,
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | report)
        return counts
