"""Sorted runs: every row once, in order, in row groups within the limits, whatever the budget."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.io import sorted_runs, table
from corpus.io.sorted_runs import RunWriter, row_groups

SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)])
TOP = 2**64 - 1
Rows = list[tuple[int, int]]


def groups_of(path: str) -> list[Rows]:
    """The rows of each row group."""
    return [list(zip(*(column.to_pylist() for column in rows.columns))) for rows in table.iter_batches(path)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.one_of(st.integers(0, TOP), st.integers(0, 3)), max_size=30), max_size=5),
    st.sampled_from([0, 2000, 1 << 30]),
    st.integers(1, 40),
    st.lists(st.integers(0, TOP), max_size=3).map(sorted),
)
def test_runs_are_sorted_and_stable(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]], budget: int, most: int, cuts: list[int]
) -> None:
    path = str(tmp_path_factory.mktemp("runs") / "0.parquet")
    added: list[Rows] = []
    with RunWriter(path, SCHEMA, "key", budget, rows_per_group=most, cuts=cuts) as writer:
        for keys in parts:
            rows = np.arange(writer.rows, writer.rows + len(keys), dtype=np.uint32)
            writer.add([np.array(keys, np.uint64), rows])
            added.append(list(zip(keys, rows.tolist())))
        assert writer.rows == sum(map(len, added))
    groups = groups_of(path)
    written = [row for group in groups for row in group]
    every = [row for part in added for row in part]
    assert sorted(written) == sorted(every)
    assert all(group == sorted(group) and len(group) <= most for group in groups)
    assert not any(group[0][0] < cut <= group[-1][0] for group in groups for cut in cuts)
    if budget == 0:
        assert written == [row for part in added for row in sorted(part)]
    if budget == 1 << 30:
        assert written == sorted(every)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=9), min_size=1, max_size=20), st.sampled_from([700, 1 << 30]))
@example([[0, 2], [], [], [0, 2, 3], [], [0], [1, 4, 4, 5]], 1 << 30)
def test_kinds_take_turns(tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]], budget: int) -> None:
    """Kinds that come in any order are written in theirs, as if they had been added as one."""
    folder = tmp_path_factory.mktemp("runs")
    with (
        RunWriter(str(folder / "kinds"), SCHEMA, "key", budget, rows_per_group=8) as kinds,
        RunWriter(str(folder / "one"), SCHEMA, "key", 1 << 30, rows_per_group=8) as one,
    ):
        for kind, keys in enumerate(parts):
            rows = np.arange(one.rows, one.rows + len(keys), dtype=np.uint32)
            columns = [np.array(keys, np.uint64) + np.uint64(100 * (kind % 3)), rows]
            kinds.add(columns, kind % 3)
            one.add(columns)
    groups = groups_of(str(folder / "kinds"))
    written, expected = ([row for group in rows for row in group] for rows in (groups, groups_of(str(folder / "one"))))
    assert all(group == sorted(group) for group in groups)
    assert sorted(written) == expected
    if budget == 1 << 30:
        assert written == expected
        keys = [key for key, _ in written]
        repeated = sum(keys.count(key) > 1 for key in set(keys))  # may have row groups of their own
        assert len(groups) <= 3 + 2 * repeated + len(keys) // 8


def test_a_run_takes_no_more_than_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 12 bytes per row, three copies and 24 more: 60 bytes while it is sorted; and 4 kinds need less at once."""
    runs: list[int] = []
    sort = sorted_runs.sort_keys

    def watched(keys: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        runs.append(len(keys))
        return sort(keys, rows)

    monkeypatch.setattr(sorted_runs, "sort_keys", watched)
    for kinds in (1, 4):
        with RunWriter(str(tmp_path / "0"), SCHEMA, "key", 60_000) as writer:
            for part in range(100):
                kind = part % kinds
                writer.add([np.full(50, kind, np.uint64), np.arange(50, dtype=np.uint32)], kind)
        assert writer.num_rows == 5000
    assert max(runs[:5]) == runs[0] == 1050
    assert sum(runs[5:]) == 5000
    assert runs[5] == 2450


def test_sorted_rows_follow_what_was_added(tmp_path: Path) -> None:
    path = str(tmp_path / "0.parquet")
    with RunWriter(path, SCHEMA, "key", 1 << 20, rows_per_group=3) as writer:
        writer.add([np.array([9, 8], np.uint64), np.array([0, 1], np.uint32)])
        writer.append_sorted(pa.table([pa.array([1, 1, 1, 1], pa.uint64()), pa.array(range(4), pa.uint32())], SCHEMA))
        assert writer.rows == 6
    assert groups_of(path) == [[(8, 1), (9, 0)], [(1, 0), (1, 1), (1, 2)], [(1, 3)]]


def test_large_rows_make_small_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_runs, "BYTES_PER_GROUP", 10_000)
    schema = pa.schema([("key", pa.uint32()), ("text", pa.large_binary())])
    path = str(tmp_path / "0.parquet")
    with RunWriter(path, schema, "key", 1 << 20) as writer:
        writer.add([np.arange(100, dtype=np.uint32)[::-1], [b"x" * 1000] * 100])
    sizes = [len(group) for group in groups_of(path)]
    assert sum(sizes) == 100
    assert max(sizes) == 9


@given(st.lists(st.integers(0, 9), max_size=300), st.integers(1, 40))
def test_row_groups_cover_all_rows(keys: list[int], size: int) -> None:
    groups = list(row_groups(np.array(sorted(keys), np.uint64), size))
    assert [row for first, end in groups for row in range(first, end)] == list(range(len(keys)))
    assert all(end - first <= size for first, end in groups)


def test_keys_alone_and_keys_with_more_columns(tmp_path: Path) -> None:
    keys = np.random.default_rng(0).integers(0, 50, 1000, np.uint64)
    path = str(tmp_path / "keys")
    with RunWriter(path, pa.schema([("key", pa.uint64())]), "key", 1 << 20, rows_per_group=64) as writer:
        writer.add([keys])
    assert table.read_table(path)["key"].to_pylist() == sorted(keys.tolist())
    schema = pa.schema([("name", pa.string()), ("key", pa.uint64()), ("half", pa.float64())])
    with RunWriter(path, schema, "key", 1 << 20, rows_per_group=64) as writer:
        writer.add([[str(key) for key in keys], keys, keys / 2])
    rows = table.read_table(path)
    assert rows["key"].to_pylist() == sorted(keys.tolist()) == [int(name) for name in rows["name"].to_pylist()]
    assert rows["half"].to_pylist() == [key / 2 for key in sorted(keys.tolist())]
