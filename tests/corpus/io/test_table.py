"""A shard is whole or refused, and equal rows are equal bytes."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import CorruptShard
from corpus.io.table import (
    ShardWriter,
    check_ids,
    is_whole,
    iter_batches,
    num_rows,
    read_between,
    read_metadata,
    read_table,
)

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.large_string())])


def _write(path: Path, groups: int = 3) -> Path:
    with ShardWriter(str(path), SCHEMA) as writer:
        for group in range(groups):
            rows = [f"{group}-{row}" for row in range(100)]
            writer.write(pa.table({"id": rows, "text": [row * 20 for row in rows]}, SCHEMA))
        writer.metadata = {"fingerprint": "f", "counts": {"documents": 100 * groups}}
    return path


def test_reads_back_in_row_groups_and_in_plain_parquet(tmp_path: Path) -> None:
    path = str(_write(tmp_path / "a.parquet"))
    assert read_metadata(path) == {"fingerprint": "f", "counts": {"documents": 300}}
    assert num_rows(path) == 300
    assert [len(batch) for batch in iter_batches(path, ["id"])] == [100, 100, 100]
    assert read_table(path).equals(pq.read_table(path))


def test_equal_rows_are_equal_bytes(tmp_path: Path) -> None:
    assert _write(tmp_path / "a.parquet").read_bytes() == _write(tmp_path / "b.parquet").read_bytes()


def test_only_texts_have_no_dictionary(tmp_path: Path) -> None:
    group = pq.ParquetFile(_write(tmp_path / "a.parquet")).metadata.row_group(0)
    coded = ["RLE_DICTIONARY" in group.column(place).encodings for place in range(2)]
    assert dict(zip(SCHEMA.names, coded, strict=True)) == {"id": True, "text": False}


def test_nothing_appears_when_writing_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with ShardWriter(str(tmp_path / "a.parquet"), SCHEMA) as writer:
            writer.write(pa.table({"id": ["x"], "text": ["y"]}, SCHEMA))
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail()
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_cut_or_flip_is_seen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("flip")
    path = _write(folder / "a.parquet", groups=1)
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    assert not is_whole(str(path))


def test_a_cut_shard_is_refused_by_name(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert read_metadata(str(path)) is None
    with pytest.raises(CorruptShard, match=r"a\.parquet is corrupt"):
        read_table(str(path))


def test_joins_check_ids() -> None:
    left = pa.table({"id": ["a", "b"]})
    check_ids(left, pa.table({"id": pa.chunked_array([["a"], ["b"]])}), "here")
    with pytest.raises(CorruptShard, match="here"):
        check_ids(left, pa.table({"id": ["b", "a"]}), "here")


@pytest.mark.parametrize("shift", [0, 2**64 - 40])
def test_a_range_is_read_from_the_groups_that_hold_it(tmp_path: Path, shift: int) -> None:
    """Every range of a shard of groups of ten, so that first and last are once the edge of each group."""
    keys = [shift + 3 * (row // 3) for row in range(40)]
    path, schema = str(tmp_path / "a.parquet"), pa.schema([("key", pa.uint64()), ("row", pa.uint32())])
    with ShardWriter(path, schema, dictionary=False) as writer:
        for at in range(0, 40, 10):
            writer.write(pa.table({"key": keys[at : at + 10], "row": range(at, at + 10)}, schema))
    for first in range(shift, shift + 40, 2):
        for last in range(first, shift + 40):
            got = read_between(path, "key", first, last, ["row"])["row"].to_pylist()
            assert got == [row for row, key in enumerate(keys) if first <= key <= last]
