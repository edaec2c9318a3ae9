"""`headwater filter`: quality signals and verdicts of the documents in plain files, with no recipe and no Ray."""

import argparse

import pyarrow.compute as pc

from corpus.errors import UsageError
from corpus.io import storage
from corpus.io.table import ShardWriter
from corpus.linguistic.tables import JUDGED, judge
from corpus.linguistic.thresholds import Bounds, override
from pipelines.commands.inputs import add_input_arguments, inputs_from
from pipelines.engine.stamps import add_counts
from pipelines.stages.filter.verdicts import VerdictCounts, count_verdicts
from pipelines.stages.kept import KeptCounts

EXAMPLE = """\
examples:
  headwater filter pages/*.jsonl.zst --out filtered
  headwater filter books.parquet --text-column content --language en --out filtered
  headwater filter pages.jsonl --language zh --threshold words:300: --threshold ellipsis_lines:off --out filtered

DIR/quality.parquet has a row per document in input order: id, language, keep, reasons, and a column per signal.
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "filter",
        help="quality signals and verdicts of documents",
        description="Measure each document by Gopher's, FineWeb's and Chinese rules, and judge it by thresholds.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_input_arguments(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="receives quality.parquet")
    parser.add_argument(
        "--language",
        choices=("auto", "en", "zh"),
        default="auto",
        help="whose thresholds apply; auto identifies each document's language and drops others (default: auto)",
    )
    parser.add_argument(
        "--threshold",
        action="append",
        default=[],
        metavar="SIGNAL:[MIN]:[MAX]",
        help="another threshold than the built-in one, for every language, or SIGNAL:off; may be given again and again",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write DIR/quality.parquet and print what was kept and why not."""
    changes = dict(_threshold(text) for text in arguments.threshold)
    try:
        tables = override(dict.fromkeys(("en", "zh", "default"), changes))
    except ValueError as error:
        raise UsageError(f"--threshold: {error}") from None
    inputs = inputs_from(arguments)
    out = storage.join(arguments.out, "quality.parquet")
    counts: VerdictCounts = {}
    with ShardWriter(out, JUDGED) as writer:
        for documents in inputs.batches():
            judged = judge(documents, arguments.language, thresholds=tables)
            writer.write(judged)
            lengths = pc.binary_length(documents["text"]).to_numpy()
            add_counts(counts, count_verdicts(judged, judged["language"].to_pylist(), lengths))
    if counts:
        _summarise(counts)
    print(f"written: {out}")
    return inputs.report()


def _threshold(text: str) -> tuple[str, Bounds | None]:
    """`SIGNAL:off` or `SIGNAL:[MIN]:[MAX]`."""
    signal, _, rest = text.partition(":")
    if rest == "off":
        return signal, None
    try:
        low, high = (float(part) if part else None for part in rest.split(":"))
    except ValueError:
        raise UsageError(f"--threshold {text}: write SIGNAL:MIN:MAX, SIGNAL:MIN:, SIGNAL::MAX or SIGNAL:off") from None
    return signal, Bounds(low, high)


def _summarise(counts: VerdictCounts) -> None:
    print(f"kept {counts['kept']:,} of {counts['documents']:,} documents ({_share(counts)} of bytes)")
    for name, part in sorted(counts["languages"].items()):
        print(f"  {name:8} kept {part['kept']:,} of {part['documents']:,} ({_share(part)} of bytes)")
    for signal, number in sorted(counts["reasons"].items(), key=lambda item: (-item[1], item[0])):
        print(f"  {signal:32} {number:,} documents")


def _share(counts: KeptCounts) -> str:
    return f"{counts['kept_bytes'] / counts['bytes']:.1%}" if counts["bytes"] else "0%"
