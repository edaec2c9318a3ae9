"""The first stage of deduplication, shard by shard: `signatures`.

Signatures are an artifact of each dump. They depend on the documents and the signature's parameters and on nothing
else, so adding a dump, or changing the threshold or the policy, never reads a text again.
"""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.dedup.exact import hash_binary, hash_columns, text_hashes, url_hashes
from corpus.dedup.minhash import Scheme, Signatures, sign_with_minima
from corpus.document import SCHEMA as DOCUMENT_SCHEMA
from corpus.io import table
from corpus.io.buffers import utf8_buffers
from pipelines.engine.shapes import ShardStage
from pipelines.engine.stage import Counts, Task


class SignatureParameters(BaseModel):
    """What decides a signature."""

    model_config = ConfigDict(frozen=True)
    shingle: int
    bands: int
    rows: int
    sketch_size: int
    seed: int
    minima: bool  # also store the signatures themselves

    @property
    def scheme(self) -> Scheme:
        """The same, as the kernels take it."""
        return Scheme(self.shingle, self.bands, self.rows, self.sketch_size, self.seed)


def signature_schema(scheme: Scheme, minima: bool) -> pa.Schema:
    """The table signatures/dump=D/N.parquet, in the row order of the documents.

    Band keys and sketches are bytes, little-endian: `np.frombuffer(value, np.uint64)` and `np.uint32`. They are most of
    the table, and a list of numbers takes ten times as long to read, and four times to write.
    """
    values = pa.list_(pa.uint32(), scheme.bands * scheme.rows)
    extra = [pa.field("minima", values, nullable=False)] if minima else []  # `hashvalues` of datasketch, affine32
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("bands", pa.binary(8 * scheme.bands), nullable=False),  # uint64 bucket keys; zeros: no words
            # uint32: the smallest shingle hashes, ascending
            pa.field("sketch", pa.large_binary(), nullable=False, metadata=table.HASHES),
            pa.field("shingles", pa.int32(), nullable=False),  # distinct shingle hashes; more than the sketch if cut
            pa.field("length", pa.int64(), nullable=False),  # UTF-8 bytes of text
            DOCUMENT_SCHEMA.field("date"),
            pa.field("text_hash", pa.binary(16), nullable=False),  # xxh3-128 of the text
            pa.field("url_hash", pa.uint64(), nullable=False),  # xxh3-64 of the canonical URL; 0: none
            DOCUMENT_SCHEMA.field("site"),
            DOCUMENT_SCHEMA.field("url"),
            *extra,
        ]
    )


class SignatureStage(ShardStage[SignatureParameters]):
    """documents/dump=D/N.parquet -> signatures/dump=D/N.parquet"""

    name: ClassVar[str] = "signatures"
    version: ClassVar[int] = 4
    folder: ClassVar[str] = "signatures"
    phase: ClassVar[str] = "dedup"

    def run(self, task: Task) -> Counts:
        """Sign a shard, a row group at a time."""
        counts: Counts = {"documents": 0, "bytes": 0}
        scheme, minima = self.parameters.scheme, self.parameters.minima
        columns = ["id", "text", "url", "site", "date", "length"]
        with table.ShardWriter(self.path(task.output), signature_schema(scheme, minima), dictionary=False) as writer:
            for documents in table.iter_batches(self.path(task.one("documents")), columns):
                writer.write(signature_table(documents, scheme, minima))
                counts["documents"] += len(documents)
                counts["bytes"] += pc.sum(documents["length"]).as_py() or 0
            writer.metadata = task.stamp(counts)
        return counts


def signature_table(documents: pa.Table, scheme: Scheme, minima: bool) -> pa.Table:
    """The signature rows of a table of documents."""
    signatures, values = sign_with_minima(documents["text"], scheme)
    columns = [
        documents["id"],
        hash_binary(signatures.bands),
        sketch_binary(signatures),
        pa.array(signatures.shingles),
        documents["length"],
        documents["date"],
        text_hashes(documents["text"]),
        pa.array(url_hashes(documents["url"])),
        documents["site"],
        documents["url"],
        *([pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])] if minima else []),
    ]
    return pa.table(columns, signature_schema(scheme, minima))


def sketch_binary(signatures: Signatures) -> pa.Array:
    """The column of sketches of some signatures."""
    buffers = [None, pa.py_buffer(signatures.offsets * 4), pa.py_buffer(signatures.values)]
    return pa.Array.from_buffers(pa.large_binary(), len(signatures.shingles), buffers)


def signatures_of(rows: pa.Table) -> Signatures:
    """The arrays of a signature table (or of some of its rows)."""
    data, offsets = utf8_buffers(rows["sketch"])
    values = data[: offsets[-1]].view(np.uint32)
    return Signatures(hash_columns(rows["bands"]), values, offsets // 4, rows["shingles"].to_numpy())
