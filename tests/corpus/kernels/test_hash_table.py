"""Sets and maps of 64-bit keys against Python's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from corpus.kernels.hash_table import doubled, find, has, map_of, set_of, slots_for
from corpus.kernels.types import U64, Bools, Word

KEYS = st.integers(1, (1 << 64) - 1) | st.integers(1, 20) | st.integers(1, 20).map(lambda key: key << 58)


@njit
def members(slots: U64, keys: U64) -> Bools:
    out = np.zeros(len(keys), np.bool_)
    for i in range(len(keys)):
        out[i] = has(slots, keys[i])
    return out


@njit
def look_up(slots: U64, key: Word) -> tuple[Word, Word]:
    at = find(slots, key)
    return slots[at], slots[at + 1]


@settings(deadline=None)
@given(st.lists(KEYS, max_size=60), st.lists(KEYS, max_size=60))
def test_sets(keys: list[int], others: list[int]) -> None:
    slots = set_of(np.array(keys, np.uint64))
    assert 2 * len(set(keys)) <= len(slots)
    asked = keys + others
    assert members(slots, np.array(asked, np.uint64)).tolist() == [key in keys for key in asked]


@settings(deadline=None)
@given(st.dictionaries(KEYS | st.just(0), st.integers(1, (1 << 64) - 1), max_size=60), st.lists(KEYS, max_size=20))
def test_maps(entries: dict[int, int], others: list[int]) -> None:
    slots = map_of(np.array([*entries], np.uint64), np.array([*entries.values()], np.uint64))
    for table in (slots, doubled(slots), doubled(doubled(slots))):
        for key, value in entries.items():
            assert look_up(table, np.uint64(key)) == (key, value)
        for key in set(others) - set(entries):
            assert look_up(table, np.uint64(key)) == (0, 0)


def test_a_value_may_be_0_and_negative() -> None:
    slots = np.zeros(2 * slots_for(4), np.int64)
    for key, value in ((5, 0), (1 << 40, -3)):
        at = find(slots, key)
        slots[at], slots[at + 1] = key, value
    slots = doubled(slots)
    assert look_up(slots, 5) == (5, 0)
    assert look_up(slots, 1 << 40) == (1 << 40, -3)
    assert look_up(slots, 6) == (0, 0)


@pytest.mark.parametrize("shift", [0, 20, 40])
def test_keys_that_differ_in_few_bits_are_spread(shift: int) -> None:
    """The keys of a range have their upper bits in common, minimizers are small, and pairs of ids have both halves."""
    keys = np.arange(1, 1001, dtype=np.uint64) << np.uint64(shift)
    slots = set_of(keys)
    taken = np.flatnonzero(slots)
    longest = max(map(len, np.split(taken, np.flatnonzero(np.diff(taken) > 1) + 1)))
    assert longest < 100
