"""The exchange: every row of a range once, whatever the windows; and elections in parts against one in memory."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.keepers import Members, elect, policy_order
from corpus.dedup.minhash import Scheme, Signatures
from corpus.dedup.out_of_core import elect_in_parts
from corpus.errors import CorruptShard
from corpus.io import table
from corpus.io.range_shuffle import Exchange, Window
from corpus.io.sorted_runs import RunWriter, row_groups
from tests.corpus.dedup.test_keepers import DOCUMENTS, members_of

SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)])
TOP = 2**64 - 1
KEYS = st.one_of(st.integers(0, TOP), st.sampled_from([0, 7, 2**63, TOP]))


def write(path: Path, runs: list[list[int]], rows_per_group: int) -> None:
    with RunWriter(str(path), SCHEMA, "key", rows_per_group=rows_per_group, packed=SCHEMA.names) as writer:
        for run in runs:
            writer.append_sorted([np.array(sorted(run), np.uint64), np.arange(len(run), dtype=np.uint32)])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.lists(KEYS, max_size=30), max_size=3), min_size=1, max_size=3),
    st.tuples(KEYS, KEYS),
    st.integers(1, 40),
    st.integers(1, 9),
)
def test_windows_cover_the_range_once(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[list[int]]],
    ends: tuple[int, int],
    budget: int,
    rows_per_group: int,
) -> None:
    folder = tmp_path_factory.mktemp("exchange")
    paths = [folder / f"{number}.parquet" for number in range(len(files))]
    for path, runs in zip(paths, files):
        write(path, runs, rows_per_group)
    first, last = min(ends), max(ends)
    exchange = Exchange([str(path) for path in paths], "key", first, last)
    windows = list(exchange.windows(budget, 1))
    assert windows[0].first == first
    assert windows[-1].last == last
    assert all(after.first == before.last + 1 for before, after in pairwise(windows))
    found: list[tuple[int, int]] = []
    for window in windows:
        rows = [(place, key) for place, some in exchange.read(window) for key in some["key"].to_pylist()]
        assert all(window.first <= key <= window.last for _, key in rows)
        if window.hot:
            assert window.first == window.last
        found += rows
    wanted = [(place, k) for place, runs in enumerate(files) for run in runs for k in run if first <= k <= last]
    assert sorted(found) == sorted(wanted)
    assert sorted(k for some in exchange.every(["key"]) for k in some["key"].to_pylist()) == sorted(
        k for _, k in wanted
    )


def test_a_key_of_many_rows_is_alone_in_its_window(tmp_path: Path) -> None:
    path = tmp_path / "0.parquet"
    write(path, [[5] * 100 + list(range(1000, 101_000, 1000))], 10)
    windows = list(Exchange([str(path)], "key", 0, TOP).windows(40, 1))
    assert [window for window in windows if window.hot] == [Window(5, 5, True)]
    assert len(windows) <= 10


def test_a_key_that_has_some_rows_in_every_file_is_known_to_be_large(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    paths = [str(tmp_path / f"{number}.parquet") for number in range(20)]
    for path in paths:
        keys = np.sort(np.r_[chance.integers(0, TOP, 2000, np.uint64), np.full(600, 2**63, np.uint64)])
        with table.ShardWriter(path, SCHEMA, packed=SCHEMA.names) as writer:
            groups = list(row_groups(keys, 1000))
            for first, end in groups:
                writer.write(pa.table([keys[first:end], np.arange(first, end, dtype=np.uint32)], SCHEMA))
        assert [end for _, end in groups] == [first for first, _ in groups[1:]] + [2600]
        assert all(0 < end - first <= 1000 for first, end in groups)
    exchange = Exchange(paths, "key", 0, TOP)
    windows = list(exchange.windows(8000, 1))
    assert [window for window in windows if window.hot] == [Window(2**63, 2**63, True)]
    assert all(sum(len(rows) for _, rows in exchange.read(window)) < 10_000 for window in windows if not window.hot)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "0.parquet"
    write(path, [list(range(1000))], 100)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - 9])
    with pytest.raises(CorruptShard, match=str(path)):
        Exchange([str(path)], "key", 0, TOP)


def _picked(members: Members, wanted: np.ndarray) -> Members:
    """The members with these indices, in this order."""
    whole = members.signatures
    sketches = [whole.values[whole.offsets[i] : whole.offsets[i + 1]] for i in wanted]
    offsets = np.cumsum([0, *map(len, sketches)]).astype(np.int64)
    values = np.concatenate([np.zeros(0, np.uint32), *sketches])
    signatures = Signatures(whole.bands[wanted], values, offsets, whole.shingles[wanted])
    others = {name: getattr(members, name)[wanted] for name in Members._fields if name != "signatures"}
    return Members(signatures=signatures, **others)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.integers(2, 12), st.booleans(), st.integers(0, 9))
def test_an_election_in_parts_keeps_the_same(texts: list[str], held: int, by_url: bool, seed: int) -> None:
    threshold = 0.6
    members = members_of(texts, Scheme(shingle=2, bands=64, rows=1), seed)
    order = policy_order(members, ("quality", "length", "id"), True)
    most = 0

    def gather(wanted: np.ndarray) -> Members:
        nonlocal most
        most = max(most, len(wanted))
        return _picked(members, wanted)

    parts = elect_in_parts(order, gather, held, threshold, by_url)
    whole = elect(members, order, threshold, by_url)
    kept = whole.level == 0
    assert ((parts.level == 0) == kept).all()
    assert (parts.level >= 0).all()
    assert kept[parts.keeper].all()
    assert most <= held
    near = (parts.level == 3) & (whole.level == 3)
    assert (parts.similarity[near] >= threshold).all()
    assert (parts.similarity[near] <= whole.similarity[near]).all()
