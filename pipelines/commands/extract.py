"""`headwater extract`: WARC, WET or ARC files to documents, without a recipe and without Ray."""

import argparse
import re
import sys
import time
from collections.abc import Mapping
from typing import Any

from corpus.crawl.warc import MAX_RECORD
from corpus.document import REJECTS, SCHEMA
from corpus.errors import UsageError
from corpus.extract.ingest import Collector, Limits, collect_archive
from corpus.extract.main_text import MAX_HTML
from corpus.io import storage
from corpus.io.table import ShardWriter
from corpus.language import LanguageIdentifier
from pipelines.engine.progress import human_bytes
from pipelines.engine.stamps import add_counts
from pipelines.stages.extract import ExtractCounts

_DUMP = re.compile(r"(?:^|/)crawl-data/([^/]+)/")
_ARCHIVES = re.compile(r"\.(warc|wet|arc)(\.(gz|lz4|zst))?$", re.IGNORECASE)


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "extract",
        help="WARC or WET files to documents",
        description="Write DIR/documents/NNNNN.parquet and DIR/rejects/NNNNN.parquet, a pair for each input file.",
        epilog="Example: headwater extract CC-MAIN-20230528-00000.warc.gz --out documents-of-may",
    )
    parser.add_argument(
        "inputs", metavar="WARC|WET", nargs="+", help="files, folders or globs; local, s3:// or https://"
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder or s3:// prefix that receives the tables")
    parser.add_argument(
        "--dump", metavar="NAME", help="dump of the documents' ids (default: from the path, or `files`)"
    )
    parser.add_argument("--language-model", metavar="FILE", help="a fastText model (default: lid.176)")
    for name, default, what in (
        ("--max-html-bytes", MAX_HTML, "largest page, HTTP's codings undone"),
        ("--max-record-bytes", MAX_RECORD, "largest archive record, as stored"),
    ):
        parser.add_argument(name, metavar="N", type=_positive, default=default, help=f"{what} (default: %(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Extract every file; 1 where a file, or a part of one, could not be read."""
    files = [path for pattern in arguments.inputs for path in _archives(pattern)]
    identifier = LanguageIdentifier(arguments.language_model)
    _check_output(arguments.out)
    limits = Limits(html=arguments.max_html_bytes, record=arguments.max_record_bytes)
    total: ExtractCounts = {}
    unread = 0
    start = time.monotonic()
    for index, path in enumerate(files):
        try:
            counts = _extract(path, f"{index:05d}.parquet", arguments, identifier, limits)
        except OSError as error:
            unread += 1
            print(f"headwater: set aside {path}: {error}", file=sys.stderr)
            continue
        add_counts(total, counts)
        print(f"{path}: {_told(counts)}")
    seconds = time.monotonic() - start
    print(f"{arguments.out}: {_told(total)}, in {seconds:.1f} s")
    return 1 if unread or total.get("damage") else 0


def _extract(
    path: str, shard: str, arguments: argparse.Namespace, identifier: LanguageIdentifier, limits: Limits
) -> dict[str, Any]:
    found = _DUMP.search(path)
    dump = arguments.dump or (found.group(1) if found else "files")
    with (
        ShardWriter(storage.join(arguments.out, "documents", shard), SCHEMA) as documents,
        ShardWriter(storage.join(arguments.out, "rejects", shard), REJECTS) as rejects,
    ):
        collector = Collector(dump, path.rsplit("/", 1)[-1], identifier, documents.write, rejects.write)
        counts = collect_archive(path, collector, limits)
        documents.metadata = rejects.metadata = {"counts": counts}
    return counts


def _archives(pattern: str) -> list[str]:
    """The files that a pattern names; of a folder only those that are called archives."""
    found = storage.expand(pattern)
    named = [path for path in found if path == pattern or _ARCHIVES.search(path)]
    if not named and not any(mark in pattern for mark in "*?["):
        raise UsageError(
            f"{pattern}: none of its {len(found)} files is called .warc, .wet or .arc (.gz, .zst, .lz4); "
            "name the files themselves, or a glob, if they are archives under another name"
        )
    return named or found


def _check_output(folder: str) -> None:
    """Raise UsageError where nothing can be written, before anything is read."""
    probe = storage.join(folder, "documents", ".writable")
    try:
        storage.write_bytes(probe, b"")
        storage.delete(probe)
    except OSError as error:
        raise UsageError(f"{folder}: nothing can be written there ({error}); give another folder as --out") from None


def _positive(text: str) -> int:
    """An argument that is a number above 0."""
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{number} is not a number above 0")
    return number


def _told(counts: Mapping[str, Any]) -> str:
    """Counts as a person reads them."""
    parts = [f"{counts.get('documents', 0):,} documents ({human_bytes(counts.get('bytes', 0))} of text)"]
    parts += [f"{number:,} {reason}" for reason, number in sorted(counts.get("rejects", {}).items())]
    parts += [f"damage: {number:,} {reason}" for reason, number in sorted(counts.get("damage", {}).items())]
    return ", ".join(parts)
