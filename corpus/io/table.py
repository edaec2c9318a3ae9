"""A table shard: a Parquet file that knows what made it and whether it is whole.

Plain Parquet that any tool opens. Its footer carries one JSON value under the key `headwater` (the task's fingerprint
and counts) and an xxh3 of the whole file, itself taken as zeros. So a shard is judged by itself alone: no marker
files beside it, no database. The bytes depend on the rows only, so the same rows give the same file.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import IO, Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from corpus.errors import CorruptShard
from corpus.io import storage

KEY = b"headwater"
CHECKSUM = b"headwater.xxh3"
HASHES = {"headwater": "hashes"}  # metadata of a field of bytes that are hashes
_UNSET = b"0" * 32  # stands in the footer for the checksum while it is computed
_TAIL = 1 << 20  # bytes at the end of a file in which the checksum lies; Arrow's schema and the counts precede it
_READ = 1 << 22  # bytes a read when a checksum is verified


class _Hashed:
    """A binary sink that hashes what passes through it."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.sink = sink
        self.digest = xxhash.xxh3_128()
        self.position = 0
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.digest.update(view)
        self.position += view.nbytes
        return self.sink.write(view)

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        self.sink.flush()

    def close(self) -> None:
        self.closed = True

    def sign(self) -> None:
        """Put the checksum of all that was written into the place that the footer keeps for it."""
        at = max(0, self.position - 8 - _TAIL)
        self.sink.seek(at)
        self.sink.seek(at + self.sink.read().rindex(_UNSET))
        self.sink.write(self.digest.hexdigest().encode())

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


class ShardWriter:
    """Write a shard in row groups; it appears at `path` when the `with` block ends without an error.

    `metadata` (JSON-able) is what the footer will carry; it may be set until the block ends. `level` is zstd's; 0: not
    compressed, for what is read once, soon.
    `dictionary`: whether columns may be dictionary-encoded; trying costs half of the time where values are hashes.
    Texts (`large_string`) never are: a dictionary saves nothing there, and reading takes a quarter longer.
    `packed`: integer columns, sorted or small, that are stored as bit-packed differences, which is smaller than zstd
    makes them and read at twice the speed; nothing is compressed or dictionary-encoded then.
    """

    def __init__(
        self, path: str, schema: pa.Schema, level: int = 1, dictionary: bool = True, packed: Sequence[str] = ()
    ) -> None:
        self.path = path
        self.schema = schema
        self.level = level
        self.dictionary = dictionary and not packed
        self.packed = packed
        self.metadata: dict[str, Any] = {}
        self.num_rows = 0

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._sink = _Hashed(self._stack.enter_context(storage.atomic_output(self.path)))
        codec, level = ("zstd", self.level) if self.level and not self.packed else ("none", None)
        hashes, others = _hashes(self.schema)
        short = [field.name for field in self.schema if not pa.types.is_large_string(field.type)]
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            self.schema,
            compression=dict.fromkeys(others, codec) if hashes else codec,
            compression_level=dict.fromkeys(others, level) if hashes and level else level,
            use_dictionary=short if self.dictionary and len(short) < len(self.schema) else self.dictionary,
            write_statistics=others if hashes else True,
            column_encoding=dict.fromkeys(self.packed, "DELTA_BINARY_PACKED") or None,
        )
        return self

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Write the rows as one row group (nothing for no rows)."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        if len(table):
            fitting = table if table.schema.equals(self.schema) else table.cast(self.schema)
            self._writer.write_table(fitting, row_group_size=len(table))
            self.num_rows += len(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with suppress(Exception):
                self._writer.close()
        else:
            try:
                text = json.dumps(self.metadata, sort_keys=True, ensure_ascii=False)
                self._writer.add_key_value_metadata({KEY: text.encode(), CHECKSUM: _UNSET})
                self._writer.close()
                self._sink.sign()
            except BaseException as failure:
                self._stack.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._stack.__exit__(kind, error, trace)


def _hashes(schema: pa.Schema) -> tuple[list[str], list[str]]:
    """The columns of hashes, which are stored as they are, without the smallest and largest; and the others."""
    hashes = [f.name for f in schema if pa.types.is_fixed_size_binary(f.type) or KEY in (f.metadata or {})]
    return hashes, [name for name in schema.names if name not in hashes]


def open_shard(path: str) -> pq.ParquetFile:
    """A shard as a Parquet file, for reading single row groups; raise CorruptShard where it is not Parquet."""
    fs, inner = storage.filesystem(path)
    try:
        return pq.ParquetFile(fs.open_input_file(inner))
    except pa.ArrowInvalid as error:
        raise CorruptShard(path, str(error).splitlines()[0]) from None


def iter_batches(path: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the shard, a row group at a time; raise CorruptShard where it cannot be read."""
    with open_shard(path) as file:
        for group in range(file.num_row_groups):
            try:
                yield file.read_row_group(group, columns=columns, use_threads=False)
            except (OSError, pa.ArrowInvalid) as error:
                raise CorruptShard(path, f"row group {group}: {str(error).splitlines()[0]}") from None


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """The whole shard, or some columns of it; raise CorruptShard where it cannot be read."""
    with open_shard(path) as file:
        try:
            return file.read(columns=columns, use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise CorruptShard(path, str(error).splitlines()[0]) from None


def num_rows(path: str) -> int:
    """The number of rows, from the footer alone."""
    with open_shard(path) as file:
        return int(file.metadata.num_rows)


def read_metadata(path: str) -> dict[str, Any] | None:
    """What the footer carries, or None where the file is not there, cannot be read, or was not written by this
    module."""
    try:
        with open_shard(path) as file:
            value = (file.metadata.metadata or {}).get(KEY)
            return None if value is None else json.loads(value)
    except (CorruptShard, OSError, ValueError):
        return None


def require_metadata(path: str) -> dict[str, Any]:
    """What the footer of a finished shard carries; raise CorruptShard where it cannot be read."""
    metadata = read_metadata(path)
    if metadata is None:
        raise CorruptShard(path, "its footer cannot be read")
    return metadata


def is_whole(path: str) -> bool:
    """Whether every byte is the byte that was written."""
    try:
        with open_shard(path) as file:
            expected = (file.metadata.metadata or {})[CHECKSUM]
        size = storage.size(path)
        start = max(0, size - 8 - _TAIL)
        place = start + storage.read_range(path, start, size - start).rindex(expected)
        digest = xxhash.xxh3_128()
        with storage.open_input(path) as raw:
            _feed(digest, raw, place)
            raw.read(len(_UNSET))
            digest.update(_UNSET)
            _feed(digest, raw, size)
    except (CorruptShard, OSError, KeyError, ValueError):
        return False
    return digest.hexdigest().encode() == expected


def _feed(digest: Any, raw: BinaryIO, limit: int) -> None:
    """Hash at most `limit` bytes of what is left of a file."""
    while limit and (block := raw.read(min(_READ, limit))):
        digest.update(block)
        limit -= len(block)


def check_ids(left: pa.Table, right: pa.Table, where: str) -> None:
    """Raise CorruptShard unless two tables hold the same ids in the same order: no join trusts a position alone."""
    if len(left) != len(right) or not left["id"].equals(right["id"]):
        raise CorruptShard(where, "its ids are not those of the documents it is joined to")


def read_between(path: str, column: str, first: int, last: int, columns: list[str] | None = None) -> pa.Table:
    """The rows of a shard with `first <= column <= last`, reading only the row groups that can hold such rows.

    Cheap where the shard is sorted by that column, which must be an integer without nulls. Raises CorruptShard.
    """
    with open_shard(path) as file:
        place = file.schema_arrow.get_field_index(column)
        groups = []
        for group in range(file.num_row_groups):
            span = file.metadata.row_group(group).column(place).statistics
            if span is None or not span.has_min_max or (span.min <= last and span.max >= first):
                groups.append(group)
        wanted = columns if columns is None else list(dict.fromkeys([column, *columns]))
        try:
            rows = file.read_row_groups(groups, columns=wanted, use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise CorruptShard(path, str(error).splitlines()[0]) from None
    kind = rows.schema.field(column).type
    inside = pc.and_(
        pc.greater_equal(rows[column], pa.scalar(first, kind)), pc.less_equal(rows[column], pa.scalar(last, kind))
    )
    rows = rows.filter(inside)
    return rows if columns is None else rows.select(columns)
