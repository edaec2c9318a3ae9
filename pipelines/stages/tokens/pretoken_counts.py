"""`pretoken_counts`: how often each pretoken occurs in the sampled documents of a shard.

Text is read once, here; what training needs of it is this table. The sample is drawn document by document by a hash of
the id. Each domain has as much of it as its weight in the mixture says. Only the training split is sampled: what is
held out for validation is held out from the tokenizer too.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.io import storage
from corpus.io.buffers import utf8_buffers
from corpus.io.sorted_runs import RunWriter
from pipelines.engine.stage import Counts, Task
from pipelines.stages.tokens.texts import TextParameters, TextStage
from tokenizer.order import document_hashes, sampled
from tokenizer.pretoken_counts import SCHEMA, PretokenCounter, hash_rows

_COUNT_SCHEMA = pa.schema([pa.field("hash", pa.uint64(), nullable=False), *SCHEMA])


class PretokenCounts(Counts, total=False):
    """What a table of pretokens holds."""

    pretokens: int  # distinct ones


class SampleParameters(TextParameters):
    """What decides which text is counted."""

    sample_bytes: int
    seed: int


class PretokenCountStage(TextStage[SampleParameters]):
    """documents, domains and spans of dump=D/N.parquet + mixture -> tokenizer/pretoken_counts/dump=D/N.parquet"""

    name: ClassVar[str] = "pretoken_counts"
    folder: ClassVar[str] = "tokenizer/pretoken_counts"
    phase: ClassVar[str] = "tokenizer"
    uses = ("mixture",)

    def run(self, task: Task) -> PretokenCounts:
        """Count the pretokens of the sampled documents."""
        shares = sample_shares(storage.read_json(self.path(task.one("mixture"))), self.parameters.sample_bytes)
        counter = PretokenCounter()
        counts: PretokenCounts = {"documents": 0, "bytes": 0}
        for batch, domains in self.texts(task, []):
            texts = batch["text"].filter(pa.array(sample(domains, shares, self.parameters.seed)))
            counter.add(texts)
            counts["documents"] += len(texts)
            counts["bytes"] += pc.sum(pc.binary_length(texts)).as_py() or 0
        pretokens = counter.result()
        counts["pretokens"] = len(pretokens)
        write_pretokens(self.path(task.output), pretokens, task.stamp(counts))
        return counts


def sample_shares(plan: Mapping[str, Any], sample_bytes: int) -> dict[str, float]:
    """Which share of each domain's documents is counted: its weight's part of `sample_bytes`, at most all."""
    return {
        domain["domain"]: min(1.0, sample_bytes * domain["weight"] / domain["bytes"])
        for domain in plan["domains"]
        if domain["bytes"] > 0
    }


def sample(domains: pa.Table, shares: Mapping[str, float], seed: int) -> npt.NDArray[np.bool_]:
    """Which rows of a domains table are counted: bool[rows]."""
    hashes = document_hashes(domains["id"], seed)
    usable = pc.and_(domains["keep"], pc.equal(domains["split"], "train")).to_numpy()
    coded = domains["domain"].combine_chunks().dictionary_encode()
    chosen = np.zeros(len(domains), np.bool_)
    for code, name in enumerate(coded.dictionary.to_pylist()):
        chosen |= (coded.indices.to_numpy() == code) & sampled(hashes, shares.get(name, 0.0))
    return chosen & usable


def write_pretokens(path: str, pretokens: pa.Table, stamp: Mapping[str, Any]) -> None:
    """Write a table of counts, which is sorted by hash, in row groups from which a range of hashes can be read."""
    hashes = hash_rows(*utf8_buffers(pretokens.column(0)))
    with RunWriter(path, _COUNT_SCHEMA, "hash", dictionary=True) as writer:
        writer.append_sorted(pretokens.add_column(0, _COUNT_SCHEMA.field("hash"), pa.array(hashes)))
        writer.metadata = dict(stamp)
