"""The plain files that the stand-alone commands take, as Arrow batches of `id` and `text` in input order.

Parquet and JSONL are read by Arrow, column by column. A file that Arrow refuses (a line that is no JSON, an
id that is a number, a cut archive) is read again row by row. That finds the rows that can be read, and says what is
wrong with the others. Ids are carried through as they are; a row without one is named `FILE:ROW`.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from corpus.errors import UsageError, nearest
from corpus.io import storage
from corpus.io.plain_files import BadRow, read_objects, read_rows, to_python
from pipelines.commands.keep_policy import Ranking

SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("text", pa.large_string(), nullable=False)])
BATCH_BYTES = 32 << 20  # text of a batch, about; a longer document is a batch of its own
_JSON_BLOCK = 32 << 20  # bytes that Arrow parses at a time; a longer line sends the file to the row reader


@dataclass
class Inputs:
    """The files named on a command line; iterate `batches()` once, then look at `bad`.

    Each of `rankings` adds to the tables a column of its name, float64, with its keys.
    """

    files: list[str]
    text_column: str = "text"
    id_column: str = "id"
    rankings: tuple[Ranking, ...] = ()
    bad: list[str] = field(default_factory=list)  # what could not be read, a line each

    def batches(self) -> Iterator[pa.Table]:
        """Tables of SCHEMA and the rankings, in input order; raise UsageError where a file has no such column."""
        for file in self.files if self.rankings else ():
            self._require_ranked(file)
        for file in self.files:
            yield from self._file(file)

    def report(self) -> int:
        """Say on standard error what was set aside; the exit status that follows from it."""
        for line in self.bad[:20]:
            print(f"headwater: set aside {line}", file=sys.stderr)
        if len(self.bad) > 20:
            print(f"headwater: and {len(self.bad) - 20:,} more rows set aside", file=sys.stderr)
        return 1 if self.bad else 0

    def _require_ranked(self, file: str) -> None:
        """Raise UsageError where no row of a file has a column that is ranked; some rows may lack it."""
        wanted = {ranking.column for ranking in self.rankings}
        known: set[str] = set()
        for names in _names(file):
            known.update(names)
            if wanted <= known:
                return
        for name in sorted(wanted - known) if known else ():
            raise UsageError(f"{file}: there is no column {name!r}; {nearest(name, sorted(known), 'it has')}")

    def _file(self, file: str) -> Iterator[pa.Table]:
        name = file.lower().removesuffix(".gz").removesuffix(".zst")
        reader = self._parquet if name.endswith(".parquet") else self._jsonl
        row = 0
        if name.endswith((".parquet", ".jsonl", ".ndjson")):
            try:
                for batch in reader(file):
                    yield self._named(batch, file, row)
                    row += len(batch)
                return
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
                pass
        yield from self._rows(file, row)

    def _parquet(self, file: str) -> Iterator[pa.Table]:
        fs, inner = storage.filesystem(file)
        with pq.ParquetFile(fs.open_input_file(inner)) as parquet:
            names = parquet.schema_arrow.names
            if self.text_column not in names:
                raise UsageError(
                    f"{file}: there is no column {self.text_column!r}, it has {', '.join(names)}; use --text-column"
                )
            ranked = [ranking.column for ranking in self.rankings]
            wanted = [name for name in names if name in (self.id_column, self.text_column, *ranked)]
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                size = max(1, parquet.metadata.row_group(group).total_byte_size // max(1, rows))
                step = max(1, min(rows, BATCH_BYTES // size)) if rows else 1
                for batch in parquet.iter_batches(step, row_groups=[group], columns=wanted, use_threads=False):
                    yield pa.Table.from_batches([batch])

    def _jsonl(self, file: str) -> Iterator[pa.Table]:
        fs, inner = storage.filesystem(file)
        kind = {".gz": "gzip", ".zst": "zstd"}.get(file[file.rfind(".") :].lower())
        types = {ranking.column: ranking.json_type for ranking in self.rankings}
        schema = pa.schema(types | {self.id_column: pa.string(), self.text_column: pa.large_string()})
        parsing = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        with fs.open_input_stream(inner, compression=kind) as stream:
            reader = pj.open_json(stream, pj.ReadOptions(block_size=_JSON_BLOCK, use_threads=False), parsing)
            for batch in reader:
                yield pa.Table.from_batches([batch])

    def _named(self, rows: pa.Table, file: str, first: int) -> pa.Table:
        """Rows as they are yielded; raises ArrowInvalid for a text that is missing or no UTF-8, for the row reader."""
        texts = rows[self.text_column].cast(pa.large_string())
        if texts.null_count:
            raise pa.ArrowInvalid("a text is missing")
        given = rows[self.id_column].cast(pa.string()) if self.id_column in rows.column_names else None
        if given is None or given.null_count:
            numbers = pa.array(range(first, first + len(rows))).cast(pa.string())
            made = pc.binary_join_element_wise(file, numbers, ":")
            given = made if given is None else pc.coalesce(given, made)
        keys = [[ranking.key(value, file) for value in to_python(rows[ranking.column])] for ranking in self.rankings]
        named = self._table(given, texts, keys)
        named.validate(full=True)
        return named

    def _table(self, ids: Any, texts: Any, keys: list[list[float]]) -> pa.Table:
        rows = pa.table([ids, texts], SCHEMA)
        for ranking, column in zip(self.rankings, keys, strict=True):
            rows = rows.append_column(ranking.name, pa.array(column, pa.float64()))
        return rows

    def _rows(self, file: str, skip: int) -> Iterator[pa.Table]:
        """The rows of a file after the first `skip`, one by one."""
        columns = {ranking.name: ranking.column for ranking in self.rankings}
        columns |= {"text": self.text_column, "id": self.id_column}
        if file.lower().endswith(".parquet") and self.id_column not in _column_names(file):
            del columns["id"]
        ids: list[str] = []
        texts: list[str] = []
        keys: list[list[float]] = [[] for _ in self.rankings]
        size = 0
        for number, row in enumerate(read_rows(file, columns)):
            if isinstance(row, BadRow):
                self.bad.append(f"{file}, offset {row.offset}: {row.reason}: {row.detail}")
            elif number >= skip:
                ids.append(row.id if row.id is not None else f"{file}:{number}")
                texts.append(row.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
                for ranking, found in zip(self.rankings, keys, strict=True):
                    found.append(ranking.key(row.others.get(ranking.name), file))
                size += len(row.text)
            if size >= BATCH_BYTES:
                yield self._table(ids, texts, keys)
                ids, texts, keys, size = [], [], [[] for _ in self.rankings], 0
        if ids:
            yield self._table(ids, texts, keys)


def _names(file: str) -> Iterator[Iterable[str]]:
    """The names of a file's columns, those of JSON row by row."""
    name = file.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".parquet"):
        yield _column_names(file)
    elif name.endswith((".txt", ".md")):
        yield ["text"]
    else:
        yield from (row for row in read_objects(file) if not isinstance(row, BadRow))


def _column_names(file: str) -> list[str]:
    fs, inner = storage.filesystem(file)
    try:
        return list(pq.read_schema(fs.open_input_file(inner)).names)
    except pa.ArrowInvalid:
        return []


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """FILES, --text-column and --id-column."""
    parser.add_argument("files", nargs="+", metavar="FILES", help=".jsonl[.gz|.zst], .parquet or .txt; folders, globs")
    parser.add_argument("--text-column", default="text", metavar="NAME", help="the column of the text (default: text)")
    parser.add_argument("--id-column", default="id", metavar="NAME", help="the column of the id (default: id)")


def inputs_from(arguments: argparse.Namespace, rankings: tuple[Ranking, ...] = ()) -> Inputs:
    """The files that the arguments name; raise UsageError where one names nothing."""
    files = [file for pattern in arguments.files for file in storage.expand(pattern)]
    return Inputs(files, arguments.text_column, arguments.id_column, rankings)
