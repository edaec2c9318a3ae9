"""`headwater tokens`: plain files to token shards, in the order of the input."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import UsageError
from corpus.io import storage, table
from pipelines.commands.inputs import Inputs, add_input_arguments, inputs_from
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
from tokenizer.vocabulary import load_vocabulary

Tokens = npt.NDArray[np.int32]

EXAMPLE = """\
example:
  headwater tokens docs/*.parquet --tokenizer tokenizer.json --out tokens/

writes tokens/00000.bin and .idx, which Megatron's IndexedDataset opens, 00000.blocks (checksums of their blocks, for
reading from an object store), 00000.parquet, which says which document lies where, and manifest.json. Each document
ends with the end-of-sentence token.
"""


def register(subparsers: Any) -> None:
    """Add the command to the parser of `headwater`."""
    parser = subparsers.add_parser(
        "tokens",
        help="documents to token shards",
        description="Encode the text of files and write it as token shards.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input_arguments(parser)
    parser.add_argument("--tokenizer", required=True, metavar="FILE", help="tokenizer.json")
    parser.add_argument("--out", required=True, metavar="DIR", help="receives the shards")
    parser.add_argument("--bos", action="store_true", help="begin-of-sentence before each document, too")
    parser.add_argument(
        "--shard-bytes",
        type=int,
        default=1 << 30,
        metavar="N",
        help="a shard's tokens take no more, at four bytes each, unless it is one longer document (default: 1 GiB)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Encode and write; print what came out."""
    if arguments.shard_bytes < 1:
        raise UsageError(f"--shard-bytes {arguments.shard_bytes}: should be 1 or more")
    vocabulary = load_vocabulary(arguments.tokenizer)
    encoder = Encoder(vocabulary, bos=arguments.bos)
    inputs = inputs_from(arguments)
    begin_folder(arguments.out)
    shards = groupby(_parts(inputs, encoder, arguments.shard_bytes), key=itemgetter(0))
    entries = [_write(arguments.out, number, (part[1:] for part in parts)) for number, parts in shards]
    manifest = build_manifest(vocabulary, entries, domain="", split="train")
    write_manifest(arguments.out, manifest)
    tokens, size = manifest["tokens"], manifest["bytes"]
    print(
        f"{arguments.out}: {tokens:,} tokens of {manifest['documents']:,} documents in {len(entries)} shard(s), "
        f"{size / max(1, tokens):.2f} bytes a token"
    )
    return inputs.report()


def _parts(inputs: Inputs, encoder: Encoder, shard_bytes: int) -> Iterator[tuple[int, pa.Table, Tokens, Tokens]]:
    """Runs of documents, each with the number of its shard, its tokens end to end and the tokens of each document."""
    number, filled = -1, shard_bytes
    for batch in inputs.batches():
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
        provenance = stack.enter_context(table.ShardWriter(storage.join(folder, f"{name}.parquet"), PROVENANCE_SCHEMA))
        writer = stack.enter_context(TokenShardWriter(folder, name))
        at = 0
        for batch, tokens, lengths in parts:
            writer.write(tokens, lengths, pc.sum(pc.binary_length(batch["text"])).as_py() or 0)
            offsets = at + np.cumsum(lengths, dtype=np.int64) - lengths
            at += len(tokens)
            absent = pa.nulls(len(batch), pa.string())
            provenance.write(pa.table([batch["id"], absent, absent, offsets, lengths], PROVENANCE_SCHEMA))
    return writer.entry()
