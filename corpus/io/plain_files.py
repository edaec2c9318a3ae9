"""Plain sources, books or code or papers that are text already: JSONL, Parquet and text files to rows.

A source says which of its columns are the text, id, url, date and language (`columns`, ours: theirs). Rows come in
batches of bounded size. A line that is no JSON, a row without text or with something else in its place, a cut or
corrupt file: each is a reject with its offset, and reading goes on as long as there is something to read.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import UsageError
from corpus.io import storage
from corpus.io.decompress import ERRORS, Decoder, Inflate, unzstd

COLUMNS = ("text", "id", "url", "date", "language")  # of ours
MAX_LINE = 64 << 20  # bytes of one JSON line
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".md")
PACKED: Mapping[str, Callable[[], Decoder]] = {"gz": Inflate, "zst": unzstd}
_PIECE = 1 << 16  # bytes unpacked at a time
_BATCH_ROWS = 1024  # rows of Parquet that are turned into Python at a time


@dataclass(slots=True)
class Row:
    """A row with the values of the mapped columns, None where it has none."""

    offset: int  # bytes from the start of the unpacked file; the row's number in Parquet
    text: str
    id: str | None = None
    url: str | None = None
    date: str | None = None
    language: str | None = None
    others: dict[str, Any] = field(default_factory=dict)  # of further columns that were asked for, as they are


@dataclass(frozen=True, slots=True)
class BadRow:
    """What could not be read as a row: `bad-line`, `no-text`, `too-large`, `truncated`, `corrupt`."""

    offset: int
    reason: str
    detail: str


def read_rows(path: str, columns: Mapping[str, str]) -> Iterator[Row | BadRow]:
    """Yield a file's rows in order; the kind of file is told by its name, without `.gz` or `.zst`.

    `columns` maps `text` (needed), `id`, `url`, `date`, `language` and any others to the names of the file's columns.
    Raises UsageError for a kind that is not read or a Parquet column that is not there.
    """
    name = path.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".parquet"):
        yield from _parquet(path, columns)
    elif name.endswith((".jsonl", ".ndjson", ".json")):
        with storage.open_input(path) as raw:
            yield from _json_lines(_unpacked(raw, path), columns)
    elif name.endswith((".txt", ".md")):
        with storage.open_input(path) as raw:
            yield from _whole_text(_unpacked(raw, path))
    else:
        raise UsageError(f"{path}: not a source that can be read; it must end in {', '.join(SUFFIXES)} (.gz or .zst)")


def read_objects(path: str) -> Iterator[dict[str, Any] | BadRow]:
    """Yield the rows of a JSON-lines or Parquet file with all their columns; raise UsageError for another kind."""
    name = path.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".parquet"):
        for parquet_row in _parquet_objects(path, None):
            yield parquet_row if isinstance(parquet_row, BadRow) else parquet_row[1]
    elif name.endswith((".jsonl", ".ndjson", ".json")):
        with storage.open_input(path) as raw:
            for line in _json_objects(_unpacked(raw, path)):
                yield line if isinstance(line, BadRow) else line[1]
    else:
        raise UsageError(f"{path}: rows with fields are read from .jsonl, .ndjson, .json (.gz or .zst) and .parquet")


class _Unpacker(RawIOBase):
    """A gzip or zstd stream as plain bytes; at the first error it ends, and `problem` says why."""

    problem = ""

    def __init__(self, raw: BinaryIO, new: Callable[[], Decoder]) -> None:
        self._raw = raw
        self._new = new
        self._decoder: Decoder | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        while not self.problem:
            data, ended = b"", False
            if self._decoder is None or self._decoder.eof:
                data = (self._decoder.unused_data if self._decoder else b"") or self._raw.read(_PIECE)
                if not data:
                    return 0
                self._decoder = self._new()
            elif self._decoder.needs_input:
                data = self._raw.read(_PIECE)
                ended = not data
            try:
                piece = self._decoder.decompress(data, len(view))
            except ERRORS as error:
                self.problem = f"corrupt: {error}"
                return 0
            if piece:
                view[: len(piece)] = piece
                return len(piece)
            if ended and not self._decoder.eof:  # a decoder that asked for nothing may give nothing, and asks then
                self.problem = "truncated"
        return 0


def _unpacked(raw: BinaryIO, path: str) -> BinaryIO:
    new = PACKED.get(path.lower().rpartition(".")[2])
    return cast(BinaryIO, BufferedReader(_Unpacker(raw, new), _PIECE)) if new else raw


def _problem(stream: BinaryIO) -> str:
    return str(getattr(getattr(stream, "raw", None), "problem", ""))


def _json_lines(stream: BinaryIO, columns: Mapping[str, str]) -> Iterator[Row | BadRow]:
    for line in _json_objects(stream):
        yield line if isinstance(line, BadRow) else _row(*line, columns)


def _json_objects(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any]] | BadRow]:
    """`(offset, object)` of each line."""
    at = 0
    while line := stream.readline(MAX_LINE + 1):
        start, at = at, at + len(line)
        if len(line) > MAX_LINE:
            while not line.endswith(b"\n") and (line := stream.readline(MAX_LINE)):
                at += len(line)
            yield BadRow(start, "too-large", f"a line of more than {MAX_LINE} bytes")
            continue
        if not line.strip():
            continue
        if not line.endswith(b"\n") and (problem := _problem(stream)):
            yield BadRow(start, *_reason(problem))
            return
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield BadRow(start, "bad-line", f"no JSON: {error}")
            continue
        if not isinstance(value, dict):
            yield BadRow(start, "bad-line", f"a {type(value).__name__} where an object should be")
            continue
        yield start, value
    if problem := _problem(stream):
        yield BadRow(at, *_reason(problem))


def _reason(problem: str) -> tuple[str, str]:
    reason, _, detail = problem.partition(": ")
    return reason, detail or "the compressed file ends too early"


def _row(offset: int, value: Mapping[str, Any], columns: Mapping[str, str]) -> Row | BadRow:
    text = value.get(columns.get("text", "text"))
    if not isinstance(text, str):
        given = "nothing" if text is None else "no UTF-8" if isinstance(text, bytes) else type(text).__name__
        return BadRow(offset, "no-text", f"column {columns.get('text', 'text')!r} holds {given}")
    row = Row(offset, text)
    for ours, name in columns.items():
        theirs = value.get(name)
        if ours not in COLUMNS:
            row.others[ours] = theirs
        elif ours != "text" and theirs is not None:
            setattr(row, ours, theirs.isoformat() if hasattr(theirs, "isoformat") else str(theirs))
    return row


def _parquet(path: str, columns: Mapping[str, str]) -> Iterator[Row | BadRow]:
    for row in _parquet_objects(path, list(dict.fromkeys(columns.values()))):
        yield row if isinstance(row, BadRow) else _row(*row, columns)


def _parquet_objects(path: str, wanted: list[str] | None) -> Iterator[tuple[int, dict[str, Any]] | BadRow]:
    """`(row number, values)` of each row; `wanted`: the columns to read, None for all."""
    fs, inner = storage.filesystem(path)
    try:
        file = pq.ParquetFile(fs.open_input_file(inner))
    except pa.ArrowInvalid as error:
        yield BadRow(0, "corrupt", f"not Parquet: {str(error).splitlines()[0]}")
        return
    with file:
        names = set(file.schema_arrow.names)
        for theirs in wanted or ():
            if theirs not in names:
                raise UsageError(f"{path}: there is no column {theirs!r}; it has {', '.join(sorted(names))}")
        at = 0
        for group in range(file.num_row_groups):
            end = at + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=wanted, use_threads=False):
                    names = batch.schema.names
                    for values in zip(*(to_python(column) for column in batch.columns), strict=True):
                        yield at, dict(zip(names, values, strict=True))
                        at += 1
            except (OSError, pa.ArrowInvalid) as error:
                yield BadRow(at, "corrupt", f"rows {at} to {end - 1}: {str(error).splitlines()[0]}")
            at = end


def to_python(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of a column: times to the microsecond, as Python's are, and None for one that Python's cannot hold; of
    a text that is no UTF-8 its bytes."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes()
    except (ValueError, OverflowError):
        return None


def _whole_text(stream: BinaryIO) -> Iterator[Row | BadRow]:
    data = stream.read(MAX_LINE + 1)
    if len(data) > MAX_LINE:
        yield BadRow(0, "too-large", f"a text of more than {MAX_LINE} bytes; make a JSONL file of its chapters")
        return
    if problem := _problem(stream):
        yield BadRow(len(data), *_reason(problem))
    try:
        yield Row(0, data.decode())
    except UnicodeDecodeError as error:
        yield BadRow(error.start, "bad-line", "not UTF-8")
