"""Plain files, books or code or papers that are text already: JSON lines, Parquet and text files to Arrow batches.

The one reader of recipe sources, of the commands' FILES and of training texts. The caller says which of a file's
columns are the text, id, url, date and language. JSON lines are parsed by Arrow, a block of whole lines at a time. A
block that Arrow refuses is parsed line by line, which finds what is wrong and reads the rest. A line that is no JSON, a
row without text or with something else instead, a cut or corrupt file: each is told with its offset, and reading
goes on as long as there is something to read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from corpus.errors import UsageError
from corpus.io import line_blocks, storage
from corpus.io.line_blocks import BadRow, Unpacked, too_large
from corpus.io.values import Column, encoded_texts, listed, strings_of, to_python, type_of, valid_texts

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".md")
_BATCH_BYTES = 32 << 20  # of a batch of Parquet, about; a longer row is a batch of its own
_NEWLINE, _RETURN, _OPEN, _CLOSE = b"\n\r{}"
_NO_ROWS = pa.schema([("offset", pa.int64()), ("number", pa.int64()), ("text", pa.large_string())]).empty_table()


class MissingColumn(UsageError):
    """A Parquet file has no column of the name that was given."""


class Batch(NamedTuple):
    """Some rows of a file, in order.

    The columns of `rows`:

    - `offset`: int64, in the unpacked file; the row's number in Parquet
    - `number`: int64, of the row in the file, bad ones counted
    - `text`: large_string; large_binary where one holds a lone surrogate, which JSON can write: it has three bytes
    - `id`, `url`, `date`, `language`: strings, those that were asked for
    """

    rows: pa.Table
    others: dict[str, list[Any]]  # further columns of the same rows, as Python has them
    bad: list[BadRow]


def read_batches(
    path: str,
    columns: Mapping[str, str],
    others: Mapping[str, pa.DataType] | None = None,
    optional: Iterable[str] = (),
) -> Iterator[Batch]:
    """Yield a file's rows in order; the kind of file is told by its name, without `.gz` or `.zst`.

    `columns` maps `text` (needed), `id`, `url`, `date` and `language` to the names of the file's columns. `others` are
    names of further columns, with the types that they mostly have in JSON.

    Raises OSError, UsageError for a kind that is not read, and MissingColumn for a column that Parquet lacks and that
    is not `optional` (of ours).
    """
    kind, others = _kind(path), others or {}
    if kind == "text":
        yield _whole_text(path, columns)
    elif kind == "json":
        yield from _json(path, columns, others)
    else:
        yield from _parquet(path, columns, others, frozenset(optional))


def read_objects(path: str) -> Iterator[dict[str, Any] | BadRow]:
    """Yield the rows of a JSON-lines or Parquet file with all their columns; raise UsageError for another kind."""
    kind = _kind(path)
    if kind == "text":
        raise UsageError(f"{path}: rows with fields are read from .jsonl, .ndjson, .json (.gz or .zst) and .parquet")
    if kind == "json":
        for block in line_blocks.line_blocks(path):
            for line in [block] if isinstance(block, BadRow) else _json_lines(*block):
                yield line if isinstance(line, BadRow) else line[1]
        return
    for _, piece in _parquet_pieces(path, None):
        if isinstance(piece, BadRow):
            yield piece
        else:
            values = [to_python(column) for column in piece.columns]
            yield from (dict(zip(piece.column_names, row)) for row in zip(*values, strict=True))


def column_names(path: str) -> list[str] | None:
    """The names of a file's columns; None where there is no list of them: in JSON and in a corrupt Parquet file."""
    kind = _kind(path)
    if kind != "parquet":
        return ["text"] if kind == "text" else None
    fs, inner = storage.filesystem(path)
    try:
        return list(pq.read_schema(fs.open_input_file(inner)).names)
    except pa.ArrowInvalid:
        return None


def _kind(path: str) -> str:
    name = path.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith(".parquet"):
        return "parquet"
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return "json"
    if name.endswith((".txt", ".md")):
        return "text"
    raise UsageError(f"{path}: not a source that can be read; it must end in {', '.join(SUFFIXES)} (.gz or .zst)")


def _batch(
    offsets: npt.ArrayLike,
    numbers: npt.ArrayLike,
    columns: Mapping[str, str],
    read: Mapping[str, Column],
    others: Iterable[str],
) -> Batch:
    """The rows whose values were read: `read` has the file's columns by name, a missing one is all None."""
    rows = {"offset": pa.array(offsets, pa.int64()), "number": pa.array(numbers, pa.int64())}
    missing: Column = [None] * len(rows["offset"])
    rows |= {ours: strings_of(read.get(name, missing)) for ours, name in columns.items() if ours != "text"}
    extra = {name: listed(read[name]) for name in others}
    name = columns.get("text", "text")
    texts = valid_texts(read[name])
    if texts is not None:
        return Batch(pa.table(rows | {"text": texts}), extra, [])
    given = listed(read[name])
    good = np.array([isinstance(value, str) for value in given], bool)
    table = pa.table(rows).filter(pa.array(good))
    encoded = encoded_texts([value for value in given if isinstance(value, str)])
    bad = [
        BadRow(rows["offset"][row].as_py(), "no-text", f"column {name!r} holds {type_of(given[row])}")
        for row in np.flatnonzero(~good).tolist()
    ]
    kept = {key: [value for value, is_good in zip(values, good) if is_good] for key, values in extra.items()}
    return Batch(table.append_column("text", encoded), kept, bad)


def _json(path: str, columns: Mapping[str, str], others: Mapping[str, pa.DataType]) -> Iterator[Batch]:
    strings = dict.fromkeys(columns.values(), pa.string())
    schema = pa.schema({**others, **strings, columns["text"]: pa.large_string()})
    number = 0
    for block in line_blocks.line_blocks(path):
        if not isinstance(block, BadRow) and (parsed := _parsed(*block, schema)):
            offsets, table = parsed
            numbers = np.arange(number, number + len(table))
            yield _batch(offsets, numbers, columns, {name: table[name] for name in schema.names}, others)
            number += len(table)
            continue
        lines = [block] if isinstance(block, BadRow) else list(_json_lines(*block))
        good = [(at, *line) for at, line in enumerate(lines, number) if not isinstance(line, BadRow)]
        read: dict[str, Column] = {name: [row.get(name) for _, _, row in good] for name in schema.names}
        batch = _batch([line[1] for line in good], [line[0] for line in good], columns, read, others)
        yield batch._replace(bad=sorted([line for line in lines if isinstance(line, BadRow)] + batch.bad))
        number += len(lines)


def _parsed(start: int, block: memoryview, schema: pa.Schema) -> tuple[npt.NDArray[np.int64], pa.Table] | None:
    """The offset of each line and what Arrow parsed, or None where it refuses a line or a line is not one object."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == _NEWLINE)
    if data[-1] != _NEWLINE:
        ends = np.append(ends, len(block))
    starts = np.append(0, ends[:-1] + 1)
    if (ends - starts).max() > line_blocks.MAX_LINE:
        return None
    ends = ends - (data[ends - 1] == _RETURN)
    starts, ends = starts[ends > starts], ends[ends > starts]
    # Arrow reads objects, not lines. An object that goes over a line's end, or a second one in a line, changes what
    # lines begin or end with, or the number of objects.
    if not len(starts) or not ((data[starts] == _OPEN) & (data[ends - 1] == _CLOSE)).all():
        return None
    buffer, bounds = pa.py_buffer(block), pa.py_buffer(np.array([0, len(block)], np.int64))
    options = pj.ReadOptions(block_size=len(block) + 1, use_threads=False)
    parsing = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        pa.LargeStringArray.from_buffers(1, bounds, buffer).validate(full=True)  # UTF-8 also in what is ignored
        table = pa.Table.from_batches(pj.open_json(pa.BufferReader(buffer), options, parsing))
    except pa.ArrowInvalid:
        return None
    return (starts + start, table) if len(table) == len(starts) else None


def _json_lines(start: int, block: memoryview) -> Iterator[tuple[int, dict[str, Any]] | BadRow]:
    """`(offset, object)` of each line, or what is wrong with it."""
    for line in BytesIO(block):
        offset, start = start, start + len(line)
        if len(line) > line_blocks.MAX_LINE:
            yield too_large(offset)
        elif line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield BadRow(offset, "bad-line", f"no JSON: {error}")
                continue
            if isinstance(value, dict):
                yield offset, value
            else:
                yield BadRow(offset, "bad-line", f"a {type(value).__name__} where an object should be")


def _parquet(
    path: str, columns: Mapping[str, str], others: Mapping[str, pa.DataType], optional: frozenset[str]
) -> Iterator[Batch]:
    names = column_names(path) or ()
    needed = [name for ours, name in columns.items() if ours not in optional or name in names]
    for first, piece in _parquet_pieces(path, list(dict.fromkeys([*needed, *others]))):
        if isinstance(piece, BadRow):
            yield Batch(_NO_ROWS, {name: [] for name in others}, [piece])
        else:
            numbers = np.arange(first, first + len(piece))
            yield _batch(numbers, numbers, columns, dict(zip(piece.column_names, piece.columns)), others)


def _parquet_pieces(path: str, wanted: list[str] | None) -> Iterator[tuple[int, pa.Table | BadRow]]:
    """The number of the first row and some rows, with the columns `wanted` (None: all), or what is wrong with them."""
    fs, inner = storage.filesystem(path)
    try:
        file = pq.ParquetFile(fs.open_input_file(inner))
    except pa.ArrowInvalid as error:
        yield 0, BadRow(0, "corrupt", f"not Parquet: {str(error).splitlines()[0]}")
        return
    with file:
        names = file.schema_arrow.names
        for name in wanted or ():
            if name not in names:
                raise MissingColumn(f"{path}: there is no column {name!r}; it has {', '.join(names)}")
        row = 0
        for group in range(file.num_row_groups):
            metadata = file.metadata.row_group(group)
            end = row + metadata.num_rows
            step = max(1, _BATCH_BYTES * metadata.num_rows // max(1, metadata.total_byte_size))
            try:
                for batch in file.iter_batches(step, row_groups=[group], columns=wanted, use_threads=False):
                    yield row, pa.Table.from_batches([batch])
                    row += len(batch)
            except (OSError, pa.ArrowInvalid) as error:
                yield row, BadRow(row, "corrupt", f"rows {row} to {end - 1}: {str(error).splitlines()[0]}")
            row = end


def _whole_text(path: str, columns: Mapping[str, str]) -> Batch:
    with storage.open_input(path) as raw:
        source = Unpacked(raw, path)
        data = source.read(line_blocks.MAX_LINE + 1)
    bad = [BadRow(len(data), *source.problem)] if source.problem else []
    text: Column = []
    if len(data) > line_blocks.MAX_LINE:
        mend = "make a JSONL file of its chapters"
        bad = [BadRow(0, "too-large", f"a text of more than {line_blocks.MAX_LINE} bytes; {mend}")]
    else:
        try:
            text = [data.decode()]
        except UnicodeDecodeError as error:
            bad.append(BadRow(error.start, "bad-line", "not UTF-8"))
    first, named = [0] * len(text), {ours: ours for ours in ("text", *columns)}
    return _batch(first, first, named, {"text": text}, ())._replace(bad=bad)
