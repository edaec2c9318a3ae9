"""The text that the tokenizer's benchmarks train on: at least 380 MB of distinct, real, multilingual text.

    python benchmarks/multilingual_text.py --data HEADWATER_DATA --out FOLDER [--megabytes 400] [--machine /]

Two kinds of source, each document taken once (exact repetitions are left out by hash):

- the project's data: English and Chinese articles, books and laws, code in three languages, revisions of documents.
Labelled texts in 79 languages, exercises and dialogues, and the text of the sample crawls (extracted by the project).
- what every Linux machine holds: the message catalogues of installed programs (gettext, about 190 languages), manual
  pages, READMEs and changelogs, and Python source. How much of it there is differs between machines, so the script
  prints the bytes of each source; both trainers always read the very same files.

Writes FOLDER/NNNNN.parquet (`source`, `text`), documents in the order of a hash, so that any prefix is a fair sample.
"""

import gzip
import json
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import xxhash
from arguments import new_parser
from backports import zstd
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text

from corpus.io import table

SCHEMA = pa.schema([("source", pa.string()), ("text", pa.large_string())])
SHARD_BYTES = 16 << 20
PER_SOURCE = {"python": 40_000_000, "docs": 40_000_000, "manuals": 40_000_000}  # of which a machine has far more


def from_data(data: Path) -> Iterator[tuple[str, str]]:
    """(source, text) of every document of the project's data that is text."""
    for folder in ("text/en", "text/zh", "code", "lid", "dups", "sft", "eval"):
        for path in sorted((data / folder).rglob("*.zst")):
            if ".pairs." in path.name:
                continue
            with zstd.open(path, "rb", options={zstd.DecompressionParameter.window_log_max: 27}) as file:
                for line in file.read().split(b"\n"):
                    yield from ((folder, text) for text in strings(line))


def strings(line: bytes) -> list[str]:
    """The text of a JSON row: its `text`, or every long string in it."""
    try:
        row = json.loads(line)
    except ValueError:
        return []
    if isinstance(row, dict) and isinstance(row.get("text"), str):
        return [row["text"]]
    found: list[str] = []
    stack = [row]
    while stack:
        value = stack.pop()
        if isinstance(value, str) and len(value) > 20:
            found.append(value)
        elif isinstance(value, dict | list):
            stack.extend(value.values() if isinstance(value, dict) else value)
    return found


def from_crawls(data: Path) -> Iterator[tuple[str, str]]:
    """The text of the sample crawls' pages, extracted."""
    for path in sorted((data / "dumps").rglob("*.warc.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True):
                yield "crawls", extract_plain_text(record.reader.read().decode("utf-8", "replace"))


def catalogue(raw: bytes) -> str:
    """The translations of a compiled gettext catalogue (.mo), a line each; empty where it is none."""
    if raw[:4] != b"\xde\x12\x04\x95":
        return ""
    count, _, table_at = struct.unpack_from("<3I", raw, 8)
    rows = [struct.unpack_from("<2I", raw, table_at + 8 * number) for number in range(1, count)]
    return "\n".join(raw[at : at + size].replace(b"\0", b"\n").decode("utf-8", "ignore") for size, at in rows)


def from_machine(root: Path) -> Iterator[tuple[str, str]]:
    """What is installed: catalogues, manual pages, documents, Python source."""
    for path in sorted((root / "usr/share/locale").rglob("*.mo")):
        yield "catalogues", catalogue(path.read_bytes())
    for path in sorted((root / "usr/share/man").rglob("*.gz")):
        yield "manuals", gzip.decompress(path.read_bytes()).decode("utf-8", "ignore")
    folders = [root / "usr/share/doc", root / "usr/share/vim", root / "usr/lib"]
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            kind = {".py": "python", ".md": "docs", ".rst": "docs", ".txt": "docs", ".gz": "docs"}.get(path.suffix)
            if kind is None or path.is_symlink() or not path.is_file() or path.stat().st_size > 2_000_000:
                continue
            raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            if b"\0" not in raw:
                yield kind, raw.decode("utf-8", "ignore")


def main() -> None:
    """Collect, leave out repetitions, write, and say what came from where."""
    parser = new_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--machine", type=Path, default=Path("/"), help="the root of the installed files (default: /)")
    parser.add_argument("--megabytes", type=float, default=400, help="stop there (default: 400)")
    arguments = parser.parse_args()
    seen: dict[int, tuple[str, str]] = {}
    sizes: Counter[str] = Counter()
    for part in (from_data(arguments.data), from_crawls(arguments.data), from_machine(arguments.machine)):
        for source, text in part:
            raw = text.encode("utf-8", "ignore")
            key = xxhash.xxh3_64_intdigest(raw)
            if len(raw) < 40 or key in seen or sizes[source] > PER_SOURCE.get(source, 1 << 40):
                continue
            seen[key] = source, raw.decode()
            sizes[source] += len(raw)
    if not seen:
        sys.exit(f"{arguments.data}: there is no text in it; --data is the folder of real data (HEADWATER_DATA)")
    written, shard, rows, size = 0, 0, [], 0
    for key in sorted(seen):
        rows.append(seen[key])
        size += len(rows[-1][1].encode())
        if size >= SHARD_BYTES:
            write(arguments.out, shard, rows)
            written, shard, rows, size = written + size, shard + 1, [], 0
            if written >= arguments.megabytes * 1_000_000:
                break
    else:
        write(arguments.out, shard, rows)
        written += size
    for source, count in sizes.most_common():
        print(f"{source:12} {count / 1e6:8.1f} MB")
    print(f"found {sum(sizes.values()) / 1e6:.1f} MB, wrote {written / 1e6:.1f} MB to {arguments.out}")


def write(folder: str, shard: int, rows: list[tuple[str, str]]) -> None:
    """One file of documents."""
    with table.ShardWriter(f"{folder}/{shard:05d}.parquet", SCHEMA) as writer:
        writer.write(pa.table([pa.array(column) for column in zip(*rows, strict=True)], schema=SCHEMA))


if __name__ == "__main__":
    main()
