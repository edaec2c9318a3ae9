"""`encoded`: the tokens of the kept documents of a shard, sorted by split, domain and order in the corpus.

The order is a seeded hash of the id (`tokenizer.order`). How many token shards there will be is not known here, so a
new dump leaves the encoded shards of the others as they are.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import CorruptShard
from corpus.io import table
from pipelines.engine.stage import Counts, Task
from pipelines.engine.stamps import add_counts
from pipelines.stages.tokens.texts import TextParameters, TextStage
from pipelines.stages.tokens.tokenizer import VOCABULARY
from tokenizer.encode import Encoder
from tokenizer.evaluate import sum_by
from tokenizer.order import document_hashes
from tokenizer.shard_format import ITEM_BYTES
from tokenizer.vocabulary import load_vocabulary

ENCODED_SCHEMA = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("order", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("bytes", pa.int64(), nullable=False),  # UTF-8 bytes of the text that is left
        pa.field("length", pa.int32(), nullable=False),  # tokens
        pa.field("tokens", pa.large_binary(), nullable=False),  # little-endian int32
    ]
)
_ROW_GROUP_BYTES = 16 << 20  # of tokens in a row group, about: what a token shard reads of another's rows in vain


class TokenCounts(Counts, total=False):
    """What there is, in tokens too."""

    tokens: int


class EncodedCounts(TokenCounts, total=False):
    """What a shard's kept documents are; sums of documents, bytes and tokens are by name."""

    languages: dict[str, dict[str, int]]
    domains: dict[str, dict[str, int]]
    training: dict[str, dict[str, int]]  # tokens of the training split, by domain and language
    splits: dict[str, dict[str, int]]  # documents, by split and domain


class EncodeParameters(TextParameters):
    """What decides a document's tokens and order."""

    bos: bool
    seed: int


class EncodeStage(TextStage[EncodeParameters]):
    """documents, domains and spans of dump=D/N.parquet + the tokenizer -> tokens/encoded/dump=D/N.parquet"""

    name: ClassVar[str] = "encoded"
    folder: ClassVar[str] = "tokens/encoded"
    version: ClassVar[int] = 3
    phase: ClassVar[str] = "tokens"
    uses = ("tokenizer",)

    def run(self, task: Task) -> EncodedCounts:
        """Encode what is kept, sort it, and count it."""
        encoder = Encoder(load_vocabulary(self.path(VOCABULARY)), bos=self.parameters.bos)
        counts: EncodedCounts = {"documents": 0, "bytes": 0, "tokens": 0}
        counts |= {"languages": {}, "domains": {}, "training": {}, "splits": {}}
        parts = [ENCODED_SCHEMA.empty_table()]
        for batch, domains in self.texts(task, ["url", "language"]):
            batch, domains = batch.filter(domains["keep"]), domains.filter(domains["keep"])
            parts.append(self._encode(encoder, batch, domains))
            add_counts(counts, _count(parts[-1], batch["language"]))
        rows = pa.concat_tables(parts)
        keys = [("split", "ascending"), ("domain", "ascending"), ("order", "ascending"), ("id", "ascending")]
        indices = pc.sort_indices(rows, keys)
        with table.ShardWriter(self.path(task.output), ENCODED_SCHEMA) as writer:
            for first, last in _row_groups(rows.select(["split", "domain", "tokens"]), indices):
                writer.write(rows.take(indices[first:last]))
            writer.metadata = task.stamp(counts)
        return counts

    def _encode(self, encoder: Encoder, batch: pa.Table, domains: pa.Table) -> pa.Table:
        tokens, lengths = encoder.encode_column(batch["text"])
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        buffers = [None, pa.py_buffer(offsets * ITEM_BYTES), pa.py_buffer(tokens)]
        packed = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(lengths), buffers)
        order = pa.array(document_hashes(batch["id"], self.parameters.seed))
        sizes = pc.binary_length(batch["text"])
        columns = [domains["split"], domains["domain"], order, batch["id"], batch["url"], sizes, lengths, packed]
        return pa.table(columns, ENCODED_SCHEMA)


def _count(rows: pa.Table, languages: pa.ChunkedArray) -> EncodedCounts:
    """The counts of some encoded documents, given the language of each."""
    size, tokens = rows["bytes"].to_numpy(), rows["length"].to_numpy().astype(np.int64)
    columns = {"split": rows["split"], "domain": rows["domain"], "language": languages, "tokens": tokens}
    sums = pa.table(columns).group_by(["split", "domain", "language"], use_threads=False)
    counts: EncodedCounts = {"documents": len(rows), "bytes": int(size.sum()), "tokens": int(tokens.sum())}
    counts["languages"] = sum_by(languages.to_pylist(), size, tokens)
    counts["domains"] = sum_by(rows["domain"].to_pylist(), size, tokens)
    counts |= {"training": {}, "splits": {}}
    keys = [("split", "ascending"), ("domain", "ascending"), ("language", "ascending")]
    for row in sums.aggregate([("tokens", "sum"), ("tokens", "count")]).sort_by(keys).to_pylist():
        add_counts(counts["splits"], {row["split"]: {row["domain"]: row["tokens_count"]}})
        if row["split"] == "train":
            add_counts(counts["training"], {row["domain"]: {row["language"]: row["tokens_sum"]}})
    return counts


def _row_groups(rows: pa.Table, indices: pa.Array) -> Iterator[tuple[int, int]]:
    """Ranges of the sorted rows: each of one split and domain, and of about _ROW_GROUP_BYTES of tokens."""
    keys = pc.binary_join_element_wise(rows["split"], rows["domain"], "/").take(indices).combine_chunks()
    codes = keys.dictionary_encode().indices.to_numpy()
    blocks = np.cumsum(pc.binary_length(rows["tokens"]).take(indices).to_numpy()) // _ROW_GROUP_BYTES
    changes = np.flatnonzero((codes[1:] != codes[:-1]) | (blocks[1:] != blocks[:-1])) + 1
    return pairwise([0, *changes.tolist(), len(codes)])


def read_encoded(
    path: str, split: str, domain: str, first: int, last: int, columns: Sequence[str] = ENCODED_SCHEMA.names
) -> pa.Table:
    """The rows of an encoded shard with this split and domain and `first <= order <= last`; raises CorruptShard."""
    with table.open_shard(path) as file:
        keys = [file.schema_arrow.get_field_index(name) for name in ("split", "domain", "order")]
        groups = []
        for group in range(file.num_row_groups):
            spans = [file.metadata.row_group(group).column(column).statistics for column in keys]
            if (
                (spans[0].min, spans[1].min) == (split, domain)  # a row group holds one split and one domain
                and spans[2].min <= last
                and spans[2].max >= first
            ):
                groups.append(group)
        try:
            rows = file.read_row_groups(groups, list(columns), use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise CorruptShard(path, str(error).splitlines()[0]) from None
    inside = pc.and_(
        pc.greater_equal(rows["order"], pa.scalar(first, pa.uint64())),
        pc.less_equal(rows["order"], pa.scalar(last, pa.uint64())),
    )
    return rows.filter(inside)
