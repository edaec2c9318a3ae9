"""`headwater tokens`: plain files to token shards, in the order of the input."""

import argparse
from typing import Any

from corpus.errors import UsageError
from pipelines.commands.inputs import add_input_arguments, inputs_from
from tokenizer.token_writing import SHARD_BYTES, write_tokens
from tokenizer.vocabulary import load_vocabulary

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
        default=SHARD_BYTES,
        metavar="N",
        help="a shard's tokens take no more, at four bytes each, unless it is one longer document (default: 1 GiB)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Encode and write; print what came out."""
    if arguments.shard_bytes < 1:
        raise UsageError(f"--shard-bytes {arguments.shard_bytes}: should be 1 or more")
    vocabulary = load_vocabulary(arguments.tokenizer)
    inputs = inputs_from(arguments)
    manifest = write_tokens(
        inputs.batches(), vocabulary, arguments.out, bos=arguments.bos, shard_bytes=arguments.shard_bytes
    )
    tokens, size = manifest["tokens"], manifest["bytes"]
    print(
        f"{arguments.out}: {tokens:,} tokens of {manifest['documents']:,} documents in "
        f"{len(manifest['shards'])} shard(s), {size / max(1, tokens):.2f} bytes per token"
    )
    return inputs.report()
