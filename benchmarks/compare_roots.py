"""Whether two finished runs made the same corpus: their roots, table by table.

    python benchmarks/compare_roots.py OLD NEW [--map OLD=NEW ...] [--quiet]

Parquet tables are compared by their columns (names, types), their number of rows and every value, bit by bit; what the
footer says is left out. Token files (.bin, .idx, .blocks), weights and all other files are compared byte by byte, JSON
by value, without fingerprints, checksums and names of stages. Shards of one table make one line.

A root of the layout before the rooms is read too: RENAMED says what its folders are called now; `--map` adds to that
table and is asked first. `*` in it stands for any characters. A file is looked for under its new name, then under its
own. FIELDS are columns and JSON keys that were renamed.

Three classes of tables. A *final* table must be equal, or the status is 1. What lies below dedup/ is intermediate:
documents are numbered there, and the numbering may change, so that only rows are counted where values differ. Reports,
records of runs, checkpoints and metrics (which tell of time) are informative.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from arguments import new_parser

RENAMED = {  # the first that matches counts
    "dedup/texts": "dedup/exact_keys",
    "dedup/copies": "dedup/exact_edges",
    "dedup/layout.json": "dedup/partition_plan.json",
    "dedup/shuffle": "dedup/band_keys",
    "dedup/candidates": "dedup/candidate_edges",
    "dedup/forests": "dedup/local_components",
    "dedup/clusters": "dedup/keepers",
    "dedup/fates": "dedup/keepers_by_shard",
    "dedup/curve.json": "dedup/dedup_rate.json",
    "dedup/anchors": "dedup/minimizers",
    "dedup/shared_anchors": "dedup/repeated_minimizers",
    "dedup/windows": "dedup/ngram_keys",
    "dedup/repeats": "dedup/repeated_ngrams",
    "dedup/marks": "dedup/repeat_positions",
    "dedup/lines": "dedup/site_lines",
    "tokenizer/pieces": "tokenizer/pretokens",
    "tokenizer/counts": "tokenizer/pretoken_counts",
    "tokenizer/evaluated": "tokenizer/evaluation",
    "*/layout.json": "*/shard_boundaries.json",
    "sites/dump=*": "site_counts/dump=*",
}
FIELDS = {"piece": "pretoken", "pieces": "pretokens"}
STAMPS = {"fingerprint", "stage", "counts", "files", "xxh3"}  # JSON keys that say what made a file, not what is in it
FINAL_OF_DEDUP = ("dedup/dedup_rate.json", "dedup/sites.parquet")
INFORMATIVE = (
    "reports/",
    "runs/",
    "train/metrics.jsonl",
    "train/manifest.json",
    "train/checkpoints/",
    "train/tensorboard/",
)
UNCOMPARED = {"rejects": ["detail"]}  # columns of a folder that tell of time


class Finding(NamedTuple):
    """What the comparison of two files says: rows (0 where there are none), and a difference or ''."""

    rows: int
    difference: str
    same_rows: bool = True  # as many rows of the same columns


def renamed(path: str, table: dict[str, str]) -> str:
    """The name of a path of an old root in a new one; the path itself where no row of the table matches."""
    for old, new in table.items():
        pattern = re.escape(old).replace(r"\*", "(.*?)") + "(?=/|$)"
        if found := re.match(pattern, path):
            parts = iter(found.groups())
            return re.sub(r"\*", lambda _: next(parts), new) + path[found.end() :]  # noqa: B023
    return path


def label(path: str) -> str:
    """The table that a file is a shard of: partitions and numbers become `*`."""
    return re.sub(r"(?<==)[^/]+|\d{5,}", "*", path)


def rank(path: str) -> str:
    """`final`, `intermediate` or `informative`, by the path in a new root."""
    if path.startswith(INFORMATIVE):
        return "informative"
    inner = path.startswith("dedup/") and path not in FINAL_OF_DEDUP
    return "intermediate" if inner or path.endswith("/shard_boundaries.json") else "final"


def files_of(root: Path) -> list[str]:
    """All files of a root that are not hidden, as relative paths."""
    paths = (path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file())
    return [str(path) for path in paths if not any(part.startswith(".") for part in path.parts)]


def compare_files(old: Path, new: Path, name: str) -> Finding:
    """Compare two files by their kind; `name` is the path in the new root."""
    if old.suffix == ".parquet":
        return compare_tables(old, new, UNCOMPARED.get(name.split("/")[0], []))
    if old.suffix == ".json":
        left, right = (plain_json(json.loads(path.read_text())) for path in (old, new))
        return Finding(0, next(differences(left, right), ""))
    left_bytes, right_bytes = old.read_bytes(), new.read_bytes()
    if left_bytes == right_bytes:
        return Finding(0, "")
    place = next((i for i, (a, b) in enumerate(zip(left_bytes, right_bytes)) if a != b), None)
    where = f"{len(left_bytes):,} and {len(right_bytes):,} bytes" if place is None else f"byte {place:,}"
    return Finding(0, where)


def compare_tables(old: Path, new: Path, left_out: list[str]) -> Finding:
    """Compare two Parquet files; `rows` is the number of the new one's."""
    tables = [pq.read_table(path, partitioning=None, memory_map=True) for path in (old, new)]
    left, right = (rows.rename_columns([FIELDS.get(name, name) for name in rows.column_names]) for rows in tables)
    shapes = [[(field.name, field.type) for field in rows.schema] for rows in (left, right)]
    if shapes[0] != shapes[1]:
        ours = [f"{name}: {kind}" for name, kind in shapes[0] if (name, kind) not in shapes[1]]
        theirs = [f"{name}: {kind}" for name, kind in shapes[1] if (name, kind) not in shapes[0]]
        return Finding(len(right), f"columns {', '.join(ours) or '-'} became {', '.join(theirs) or '-'}", False)
    if len(left) != len(right):
        return Finding(len(right), f"{len(left):,} and {len(right):,} rows", False)
    found = []
    for name in left.column_names:
        row = None if name in left_out else first_difference(left[name], right[name])
        if row is not None:
            found.append((row, name))
    if not found:
        return Finding(len(right), "")
    row, name = min(found)
    values = " and ".join(short(column[row].as_py()) for column in (left[name], right[name]))
    return Finding(len(right), f"row {row:,}, {name}: {values} ({', '.join(name for _, name in found)} differ)")


def first_difference(left: pa.ChunkedArray, right: pa.ChunkedArray) -> int | None:
    """The first row in which two columns of one type and length differ, bit by bit; None where they are equal."""
    left, right = bits(left), bits(right)
    if left.equals(right):
        return None
    low, high = 0, len(left)
    while high - low > 1:
        middle = (low + high) // 2
        same = left.slice(low, middle - low).equals(right.slice(low, middle - low))
        low, high = (middle, high) if same else (low, middle)
    return low


def bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats as integers of their size, so that NaN equals NaN; other columns as they are."""
    integers = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}
    kind = integers.get(column.type)
    return column if kind is None else pa.chunked_array([chunk.view(kind) for chunk in column.chunks], kind)


def plain_json(value: Any) -> Any:
    """A JSON value without stamps, with today's names of fields; paths as a new root has them."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in STAMPS}
        return {renamed(FIELDS.get(key, key), RENAMED): plain_json(item) for key, item in kept.items()}
    if isinstance(value, list):
        return [plain_json(item) for item in value]
    return renamed(value, RENAMED) if isinstance(value, str) else value


def differences(left: Any, right: Any, place: str = "") -> Iterator[str]:
    """Where two JSON values differ, in words."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            if key not in left or key not in right:
                yield f"{place}{key} is only in {'NEW' if key in right else 'OLD'}"
            else:
                yield from differences(left[key], right[key], f"{place}{key}.")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, pair in enumerate(zip(left, right)):
            yield from differences(*pair, f"{place}{number}.")
    elif left != right:
        yield f"{place.rstrip('.')}: {short(left)} and {short(right)}"


def short(value: Any) -> str:
    """The beginning of a value."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Table:
    """The shards of one table and what was found of them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.shards = self.rows = 0
        self.different: list[str] = []  # a line for each shard that differs
        self.same_rows = True

    def add(self, shard: str, found: Finding) -> None:
        """Take in what one shard's comparison said."""
        self.shards += 1
        self.rows += found.rows
        self.same_rows &= found.same_rows
        if found.difference:
            self.different.append(f"{shard}: {found.difference}")

    @property
    def verdict(self) -> str:
        """`equal`, `as many rows` (intermediate, other values) or `differs`."""
        if not self.different:
            return "equal"
        return "as many rows" if self.kind == "intermediate" and self.same_rows else "differs"


def compare_roots(old: Path, new: Path, table: dict[str, str]) -> dict[str, Table]:
    """All tables of two roots by name, in the order of the names."""
    tables: dict[str, Table] = {}
    there = set(files_of(new))
    seen = set()
    for path in files_of(old):
        today = renamed(path, table)
        name = today if today in there or path not in there else path
        seen.add(name)
        found = compare_files(old / path, new / name, name) if name in there else Finding(0, "only in OLD", False)
        tables.setdefault(label(name), Table(rank(name))).add(name, found)
    for name in sorted(there - seen):
        tables.setdefault(label(name), Table(rank(name))).add(name, Finding(0, "only in NEW", False))
    return dict(sorted(tables.items()))


def main() -> None:
    """Print a line per table and a summary; exit with 1 where a final table differs."""
    parser = new_parser(__doc__)
    parser.add_argument("old", type=Path, metavar="OLD", help="the root of a finished run")
    parser.add_argument("new", type=Path, metavar="NEW", help="the root of another")
    parser.add_argument("--map", action="append", default=[], metavar="OLD=NEW", help="a folder or file, renamed")
    parser.add_argument("--quiet", action="store_true", help="leave out the tables that are equal")
    arguments = parser.parse_args()
    for root in (arguments.old, arguments.new):
        if not root.is_dir():
            sys.exit(f"{root}: no such folder; name the root of a finished run")
    pairs = [re.split(r"(?<!dump)(?<!domain)=", pair) for pair in arguments.map]
    if wrong := [text for text, pair in zip(arguments.map, pairs) if len(pair) != 2]:
        sys.exit(f"--map {wrong[0]}: write it as OLD=NEW")
    given = dict(pairs)
    tables = compare_roots(arguments.old, arguments.new, given | RENAMED | given)
    print(f"{'table':<44} {'shards':>6} {'rows':>12}  verdict")
    for name, table in tables.items():
        if table.different or not arguments.quiet:
            note = f", {len(table.different)} shards; {table.different[0]}" if table.different else ""
            kind = "" if table.kind == "final" else f" [{table.kind}]"
            print(f"{name:<44} {table.shards:>6} {table.rows or '':>12}  {table.verdict}{kind}{note}")
    failed = [name for name, table in tables.items() if table.kind == "final" and table.different]
    for kind in ("final", "intermediate", "informative"):
        verdicts = [table.verdict for table in tables.values() if table.kind == kind]
        counts = ", ".join(f"{verdicts.count(one)} {one}" for one in ("equal", "as many rows", "differs"))
        print(f"{kind}: {len(verdicts)} tables, {counts}")
    if failed:
        sys.exit(f"differs: {', '.join(failed)}")
    print("every final table is equal")


if __name__ == "__main__":
    main()
