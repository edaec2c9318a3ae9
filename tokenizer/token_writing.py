"""Documents to a folder of token shards, in the order of the input: what `headwater tokens` does."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.io import storage
from corpus.io.document_table import as_documents
from corpus.io.table import ShardWriter
from tokenizer.encode import Encoder
from tokenizer.shard_format import ITEM_BYTES
from tokenizer.shard_writer import (
    PROVENANCE_SCHEMA,
    TokenShardWriter,
    begin_folder,
    build_manifest,
    cut_shards,
    write_manifest,
)
from tokenizer.vocabulary import Vocabulary

Tokens = npt.NDArray[np.int32]
SHARD_BYTES = 1 << 30


def write_tokens(
    documents: Any,
    vocabulary: Vocabulary,
    folder: str,
    *,
    bos: bool = False,
    shard_bytes: int = SHARD_BYTES,
    domain: str = "",
) -> dict[str, Any]:
    """Encode documents into `folder` (a path or an s3:// prefix), each followed by end-of-sentence; the manifest.

    `documents` is a table with `text` (string) and optional `id`, see `corpus.io.document_table`, or a list or
    iterator of such tables, which are read once. A shard's tokens, int32, take `shard_bytes` at most, unless it is one
    longer document. Beside each shard lies a table of its documents' ids and places. What an earlier call left in the
    folder is replaced. Raises UsageError for a folder that holds other tables, or a table without texts.

    >>> from tokenizer import open_shards, train_vocabulary
    >>> documents = {"text": ["one page", "又一页"]}
    >>> manifest = write_tokens(documents, train_vocabulary(documents, vocab_size=300), "tokens")
    >>> manifest["documents"], open_shards("tokens").num_tokens == manifest["tokens"]
    (2, True)
    """
    tables = map(as_documents, documents if isinstance(documents, Iterator | list | tuple) else [documents])
    begin_folder(folder)
    shards = groupby(_parts(tables, Encoder(vocabulary, bos=bos), shard_bytes), key=itemgetter(0))
    entries = [_write(folder, number, (part[1:] for part in parts)) for number, parts in shards]
    manifest = build_manifest(vocabulary, entries, domain=domain, split="train")
    write_manifest(folder, manifest)
    return manifest


def _parts(
    tables: Iterable[pa.Table], encoder: Encoder, shard_bytes: int
) -> Iterator[tuple[int, pa.Table, Tokens, Tokens]]:
    """Runs of documents, each with the number of its shard, its tokens end to end and the tokens of each document."""
    number, filled = -1, shard_bytes
    for batch in tables:
        tokens, lengths = encoder.encode_column(batch["text"])
        ends = np.cumsum(lengths, dtype=np.int64)
        starts, filled = cut_shards(lengths.astype(np.int64) * ITEM_BYTES, shard_bytes, filled)
        for part, (first, last) in enumerate(pairwise([0, *starts.tolist(), len(batch)])):
            number += part > 0
            if first < last:
                run = slice(ends[first] - lengths[first], ends[last - 1])
                yield number, batch.slice(first, last - first), tokens[run], lengths[first:last]


def _write(folder: str, number: int, parts: Iterator[tuple[pa.Table, Tokens, Tokens]]) -> dict[str, Any]:
    """Write one shard and its provenance; return its entry of the manifest."""
    name = f"{number:05d}"
    with ExitStack() as stack:
        provenance = stack.enter_context(ShardWriter(storage.join(folder, f"{name}.parquet"), PROVENANCE_SCHEMA))
        writer = stack.enter_context(TokenShardWriter(folder, name))
        at = 0
        for batch, tokens, lengths in parts:
            writer.write(tokens, lengths, pc.sum(pc.binary_length(batch["text"])).as_py() or 0)
            offsets = at + np.cumsum(lengths, dtype=np.int64) - lengths
            at += len(tokens)
            absent = pa.nulls(len(batch), pa.string())
            provenance.write(pa.table([batch["id"], absent, absent, offsets, lengths], PROVENANCE_SCHEMA))
    return writer.entry()
