"""Plain files, books or code or papers that are text already: JSON lines, Parquet and text files to Arrow batches.

The one reader of recipe sources, of the commands' FILES and of training texts. The caller says which of a file's
columns are the text, id, url, date and language. JSON lines are parsed by Arrow, a block
of whole lines at a time. A block that Arrow refuses is parsed line by line, which finds what is wrong and reads the
rest. A line that is no JSON, a row without text or with something else in its place, a cut or corrupt file: each is
told with its offset, and reading goes on as long as there is something to read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from corpus.errors import UsageError
from corpus.io import line_blocks, storage
from corpus.io.line_blocks import BadRow, Unpacked, too_large

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".md")
_BATCH_BYTES = 32 << 20  # of a batch of Parquet, about; a longer row is a batch of its own
_NEWLINE, _RETURN, _OPEN, _CLOSE = b"\n\r{}"

Values: TypeAlias = "pa.ChunkedArray | Sequence[Any]"


class MissingColumn(UsageError):
    """A Parquet file has no column of the name that was given."""


class Batch(NamedTuple):
    """Some rows of a file, in order.

    The columns of `rows`:

    - `offset`: int64, in the unpacked file; the row's number in Parquet
    - `number`: int64, of the row in the file, bad ones counted
    - `text`: large_binary, UTF-8; a lone surrogate, which JSON can write, has three bytes
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
    else:
        yield from (_parquet if kind == "parquet" else _json)(path, columns, others, frozenset(optional))


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
    """The names of a file's columns; None for JSON, which has no list of them, and for corrupt Parquet."""
    kind = _kind(path)
    if kind == "text":
        return ["text"]
    if kind == "json":
        return None
    fs, inner = storage.filesystem(path)
    try:
        return list(pq.read_schema(fs.open_input_file(inner)).names)
    except pa.ArrowInvalid:
        return None


def utf8_texts(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """A batch's texts as large_string; a lone surrogate becomes U+FFFD."""
    try:
        return texts.cast(pa.large_string())
    except pa.ArrowInvalid:
        whole = [_replaced(text.decode("utf-8", "surrogatepass")) for text in texts.to_pylist()]
        return pa.chunked_array([pa.array(whole, pa.large_string())])


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
    values: Mapping[str, Values],
    others: Mapping[str, Values],
    text: str,
) -> Batch:
    """The rows with these values, ours by name; `text` is what the file calls the text."""
    rows = {"offset": pa.array(offsets, pa.int64()), "number": pa.array(numbers, pa.int64())}
    bad: list[BadRow] = []
    found = _valid_texts(values["text"])
    if found is None:
        given = _listed(values["text"])
        good = np.array([isinstance(value, str) for value in given], bool)
        bad = [
            BadRow(rows["offset"][row].as_py(), "no-text", f"column {text!r} holds {_found(given[row])}")
            for row in np.flatnonzero(~good).tolist()
        ]
        found = pa.array([v.encode("utf-8", "surrogatepass") for v in given if isinstance(v, str)], pa.large_binary())
    rows |= {name: _strings(column) for name, column in values.items() if name != "text"}
    extra = {name: list(_listed(column)) for name, column in others.items()}
    if bad:
        rows = {name: column.filter(pa.array(good)) for name, column in rows.items()}
        extra = {name: [value for value, kept in zip(column, good) if kept] for name, column in extra.items()}
    return Batch(pa.table(rows | {"text": found}), extra, bad)


def _valid_texts(values: Values) -> pa.ChunkedArray | None:
    """A column of texts as bytes, or None where one of its values is no text."""
    if not isinstance(values, pa.ChunkedArray) or values.null_count:
        return None
    try:
        texts = values.cast(pa.large_string()) if not pa.types.is_large_string(values.type) else values
        texts.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return texts.cast(pa.large_binary()) if _holds_text(values.type) else None


def _holds_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _strings(values: Values) -> pa.Array | pa.ChunkedArray:
    """A column as strings: numbers as Python writes them, dates by ISO 8601."""
    if isinstance(values, pa.ChunkedArray) and (_holds_text(values.type) or pa.types.is_integer(values.type)):
        try:
            strings = values.cast(pa.string())
            strings.validate(full=True)
            return strings
        except pa.ArrowInvalid:
            pass
    return pa.array([None if value is None else _string(value) for value in _listed(values)], pa.string())


def _string(value: Any) -> str:
    return _replaced(value.isoformat() if hasattr(value, "isoformat") else str(value))


def _replaced(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _listed(values: Values) -> Sequence[Any]:
    return to_python(values) if isinstance(values, pa.ChunkedArray) else values


def _found(value: Any) -> str:
    return "nothing" if value is None else "no UTF-8" if isinstance(value, bytes) else type(value).__name__


def _json(
    path: str, columns: Mapping[str, str], others: Mapping[str, pa.DataType], _optional: frozenset[str]
) -> Iterator[Batch]:
    types = {name: pa.large_string() if ours == "text" else pa.string() for ours, name in columns.items()}
    schema = pa.schema({**others, **types, columns["text"]: pa.large_string()})
    number = 0
    for block in line_blocks.line_blocks(path):
        bad: list[BadRow] = []
        offsets: npt.ArrayLike
        if not isinstance(block, BadRow) and (parsed := _parsed(*block, schema)):
            offsets, table = parsed
            numbers = np.arange(number, number + len(table))
            number += len(table)
            read: Mapping[str, Values] = {name: table[name] for name in table.column_names}
        else:
            lines = [block] if isinstance(block, BadRow) else list(_json_lines(*block))
            good = [(place, *line) for place, line in enumerate(lines, number) if not isinstance(line, BadRow)]
            bad = [line for line in lines if isinstance(line, BadRow)]
            offsets, numbers = [offset for _, offset, _ in good], np.array([place for place, _, _ in good], np.int64)
            number += len(lines)
            read = {name: [row.get(name) for _, _, row in good] for name in schema.names}
        values = {ours: read[name] for ours, name in columns.items()}
        batch = _batch(offsets, numbers, values, {name: read[name] for name in others}, columns["text"])
        yield batch._replace(bad=sorted(bad + batch.bad))


def _parsed(start: int, block: bytes, schema: pa.Schema) -> tuple[npt.NDArray[np.int64], pa.Table] | None:
    """The offset of each line and what Arrow parsed, or None where it refuses a line or a line is not one object."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == _NEWLINE)
    if block[-1] != _NEWLINE:
        ends = np.append(ends, len(block))
    starts = np.append(0, ends[:-1] + 1)
    if (ends - starts).max() > line_blocks.MAX_LINE:
        return None
    ends = ends - (data[ends - 1] == _RETURN)
    starts, ends = starts[ends > starts], ends[ends > starts]
    # Arrow reads objects, not lines: one that goes over a line's end, or a second one in a line, changes what lines
    # begin or end with, or their number.
    if not len(starts) or not ((data[starts] == _OPEN) & (data[ends - 1] == _CLOSE)).all():
        return None
    options = pj.ReadOptions(block_size=len(block) + 1, use_threads=False)
    parsing = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    buffer = pa.py_buffer(block)
    sizes = pa.py_buffer(np.array([0, len(block)], np.int64))
    try:
        pa.LargeStringArray.from_buffers(1, sizes, buffer).validate(full=True)  # UTF-8, in other columns, too
        table = pj.read_json(pa.BufferReader(buffer), options, parsing)
    except pa.ArrowInvalid:
        return None
    return (starts + start, table) if len(table) == len(starts) else None


def _json_lines(start: int, block: bytes) -> Iterator[tuple[int, dict[str, Any]] | BadRow]:
    """`(offset, object)` of each line, or what is wrong with it."""
    for line in block.split(b"\n"):
        offset, start = start, start + len(line) + 1
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
    names = column_names(path)
    present = {ours: name for ours, name in columns.items() if names is None or ours not in optional or name in names}
    wanted = list(dict.fromkeys([*present.values(), *others]))
    for first, piece in _parquet_pieces(path, wanted):
        if isinstance(piece, BadRow):
            yield Batch(
                _batch([], [], {ours: [] for ours in columns}, {}, "").rows, {name: [] for name in others}, [piece]
            )
            continue
        numbers = np.arange(first, first + len(piece))
        values = {ours: piece[present[ours]] if ours in present else [None] * len(piece) for ours in columns}
        yield _batch(numbers, numbers, values, {name: piece[name] for name in others}, columns["text"])


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
    text: list[str] = []
    if len(data) > line_blocks.MAX_LINE:
        mend = "make a JSONL file of its chapters"
        bad = [BadRow(0, "too-large", f"a text of more than {line_blocks.MAX_LINE} bytes; {mend}")]
    else:
        try:
            text = [data.decode()]
        except UnicodeDecodeError as error:
            bad.append(BadRow(error.start, "bad-line", "not UTF-8"))
    values = {ours: text if ours == "text" else [None] * len(text) for ours in ("text", *columns)}
    return _batch([0] * len(text), [0] * len(text), values, {}, "text")._replace(bad=bad)
