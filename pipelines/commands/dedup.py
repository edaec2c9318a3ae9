"""`headwater dedup`: near-duplicates among plain files, without a recipe and without Ray; `headwater dedup curve`: the
probability that documents of a given similarity are compared at all."""

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from corpus.dedup.in_memory import RECALL, SCHEMA, deduplicate
from corpus.dedup.minhash import Scheme
from corpus.dedup.scurve import CURVE_POINTS, choose_bands, match_probability
from corpus.errors import UsageError
from corpus.io import storage, table
from pipelines.commands.inputs import add_input_arguments, inputs_from
from pipelines.commands.keep_policy import parse_policy


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "dedup",
        help="near-duplicates among documents",
        description="Write DIR/duplicates.parquet: a row per document, in input order, with the document that stands "
        "for it. Documents are near-duplicates when the Jaccard similarity of their shingles reaches the threshold.",
        epilog="Examples: headwater dedup pages/*.jsonl.zst --out deduplicated --threshold 0.8; "
        "headwater dedup pages/*.parquet --out deduplicated --keep score:highest,crawled:newest,length,id; "
        "headwater dedup curve --threshold 0.7 (what bands x rows find; a file of that name is ./curve)",
    )
    add_input_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="folder or s3:// prefix that receives duplicates.parquet")
    parser.add_argument("--threshold", type=float, default=0.8, metavar="J", help="(default: %(default)s)")
    parser.add_argument(
        "--keep",
        default="length,id",
        metavar="POLICY",
        help="which of several is kept: the first difference in this list of length (longest), id (smallest), order "
        "(first in the input), and columns of the input, COLUMN:highest or lowest of numbers, COLUMN:newest or oldest "
        "of dates, those that have none last; default: %(default)s",
    )
    parser.add_argument("--shingle", type=int, default=5, metavar="N", help="words a shingle (default: %(default)s)")
    parser.add_argument("--bands", type=int, metavar="N", help="bands; with --rows (default: from the threshold)")
    parser.add_argument("--rows", type=int, metavar="N", help="minima a band")
    parser.add_argument(
        "--sketch-size",
        type=int,
        default=0,
        metavar="N",
        help="shingle hashes kept of a document; 0: all, so that similarities are exact (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="threads (default: all)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Deduplicate, or print the curve; 1 where a row could not be read."""
    scheme = _scheme(arguments)
    if arguments.files == ["curve"]:
        print_curve(arguments.threshold, scheme)
        return 0
    if not arguments.out:
        raise UsageError("dedup: say with --out DIR where duplicates.parquet is to be written")
    policy, rankings = parse_policy(arguments.keep)
    start = time.monotonic()
    inputs = inputs_from(arguments, rankings)
    size = 0

    def batches() -> Iterator[pa.Table]:
        nonlocal size
        for batch in inputs.batches():
            size += pc.sum(pc.binary_length(batch["text"])).as_py() or 0
            yield batch

    found = deduplicate(batches(), arguments.threshold, keep=policy, scheme=scheme, workers=max(1, arguments.workers))
    path = storage.join(arguments.out, "duplicates.parquet")
    with table.ShardWriter(path, SCHEMA) as writer:
        writer.write(found)
    removed = Counter(found["level"].to_pylist())
    print(
        f"{len(found):,} documents, {size / 1e6:,.1f} MB: {removed[None]:,} kept, {removed['exact']:,} exact and "
        f"{removed['near']:,} near-duplicates removed, in {time.monotonic() - start:.1f} s -> {path}"
    )
    return inputs.report()


def _scheme(arguments: argparse.Namespace) -> Scheme:
    """The signature scheme that the arguments ask for; raises UsageError for one that makes no sense."""
    if not 0 < arguments.threshold <= 1:
        raise UsageError(f"--threshold {arguments.threshold}: it is a similarity above 0, up to 1")
    if not 1 <= arguments.shingle <= 64:
        raise UsageError(f"--shingle {arguments.shingle}: 1 to 64 words")
    if arguments.sketch_size < 0:
        raise UsageError(f"--sketch-size {arguments.sketch_size}: 0 for all hashes, or how many")
    if (arguments.bands is None) != (arguments.rows is None):
        raise UsageError("--bands and --rows go together; without them they follow from the threshold")
    given = arguments.bands is not None
    bands, rows = (arguments.bands, arguments.rows) if given else choose_bands(arguments.threshold, RECALL)
    if bands < 1 or rows < 1:
        raise UsageError(f"--bands {bands} --rows {rows}: both are 1 or more")
    return Scheme(arguments.shingle, bands, rows, arguments.sketch_size)


def print_curve(threshold: float, scheme: Scheme) -> None:
    """Print how probable it is that documents of a similarity are compared, for the scheme and for usual others."""
    others = [(14, 8), (9, 13), (20, 13), (26, 11)]  # FineWeb, RedPajama-V2 at 0.8, NeMo Curator, Olmo 3
    chosen = (scheme.bands, scheme.rows)
    shown = Table(
        title=f"probability of being compared, by Jaccard similarity; {chosen[0]} bands of {chosen[1]} rows find pairs "
        f"at {threshold} with {match_probability(threshold, *chosen):.6f}",
        title_justify="left",
    )
    shown.add_column("similarity", justify="right")
    for bands, rows in [chosen, *others]:
        shown.add_column(f"{bands}x{rows}", justify="right")
    for point in sorted({*CURVE_POINTS, threshold}):
        cells = [f"{match_probability(point, bands, rows):.4f}" for bands, rows in [chosen, *others]]
        shown.add_row(f"{point:.2f}", *cells, style="bold" if point == threshold else None)
    Console(soft_wrap=True, markup=False).print(shown)
