"""`headwater passages`: passages that repeat in plain files, without a recipe and without Ray."""

import argparse
import time
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from corpus import spans
from corpus.errors import UsageError
from corpus.io import storage, table
from corpus.passages.cuts import Limits
from corpus.passages.in_memory import repeated_passages
from pipelines.commands.inputs import SCHEMA, add_input_arguments, inputs_from
from pipelines.config.passages import PassageParameters
from pipelines.engine.progress import human_bytes

DEFAULTS = PassageParameters()


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "passages",
        help="passages that repeat inside documents",
        description="Write DIR/passages.parquet: a row per document, in input order, with the spans (byte offsets) that"
        " stand in an earlier document too, or earlier in the same one; and DIR/documents.parquet: the texts without "
        "them. Files are read three times. In a recipe's run also lines that recur on a site are found.",
        epilog="Example: headwater passages pages/*.jsonl.zst --out cut --words 50",
    )
    add_input_arguments(parser)
    parser.add_argument("--out", metavar="DIR", required=True, help="folder or s3:// prefix that receives both files")
    parser.add_argument(
        "--words",
        type=int,
        default=DEFAULTS.words,
        metavar="N",
        help="words that a passage has at least; a CJK character is a word (default: %(default)s)",
    )
    parser.add_argument(
        "--least",
        type=int,
        default=DEFAULTS.least,
        metavar="N",
        help="words that stay of a document; one that would keep fewer is cut whole (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Find the passages and cut them; 1 where a row could not be read."""
    if not 1 <= arguments.words <= 10_000:
        raise UsageError(f"--words {arguments.words}: 1 to 10,000 words")
    if arguments.least < 0:
        raise UsageError(f"--least {arguments.least}: how many words, 0 or more")
    start = time.monotonic()
    inputs = inputs_from(arguments)
    documents = size = left = cut = 0
    out = [storage.join(arguments.out, name) for name in ("passages.parquet", "documents.parquet")]
    limits = Limits(arguments.words, 1, arguments.least)
    found = repeated_passages(lambda: replace(inputs, bad=[]).batches(), limits)
    with table.ShardWriter(out[0], spans.SCHEMA) as passages, table.ShardWriter(out[1], SCHEMA) as texts:
        for rows, of in zip(inputs.batches(), found, strict=True):
            text = spans.cut(rows["text"], [of], {})
            stays = pc.or_(pc.greater(pc.binary_length(text), 0), pc.equal(pc.binary_length(rows["text"]), 0))
            passages.write(of)
            texts.write(pa.table([rows["id"], text], SCHEMA).filter(stays))
            documents += len(rows)
            cut += int((spans.cut_lengths(of) > 0).sum())
            size += pc.sum(pc.binary_length(rows["text"])).as_py() or 0
            left += pc.sum(pc.binary_length(text)).as_py() or 0
    print(
        f"{documents:,} documents, {human_bytes(size)}: {human_bytes(size - left)} ({1 - left / (size or 1):.1%}) in "
        f"{cut:,} of them repeat; {texts.num_rows:,} have text left, in {time.monotonic() - start:.1f} s -> {out[0]}"
    )
    return inputs.report()
