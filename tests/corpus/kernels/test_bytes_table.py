"""The table of byte strings against a dictionary."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from corpus.kernels.bytes_table import FIELDS, LENGTH, START, VALUE, add, find, move, new_table
from corpus.kernels.hashing import hash_key
from corpus.kernels.types import I64, U8, Word

STRINGS = st.lists(st.binary(min_size=1, max_size=30) | st.binary(min_size=8, max_size=9), max_size=40)


@njit
def count(data: U8, bounds: I64, slots: I64, arena: U8, few_hashes: bool) -> int:
    used = 0
    for i in range(len(bounds) - 1):
        hashed: Word = hash_key(data, bounds[i], bounds[i + 1])
        if few_hashes:  # strings of one length that share a hash are told apart by their bytes, from eight on
            hashed &= np.uint64(1)
        at = find(slots, arena, hashed, data, bounds[i], bounds[i + 1])
        if slots[at + LENGTH] == 0:
            used = add(slots, arena, at, hashed, data, bounds[i], bounds[i + 1], used)
        slots[at + VALUE] += 1
    return used


@settings(deadline=None)
@given(STRINGS, st.booleans())
def test_counting(strings: list[bytes], few_hashes: bool) -> None:
    if few_hashes:
        strings = [string.rjust(8, b"x") for string in strings]
    raw = b"".join(strings)
    data = np.frombuffer(raw + bytes(8), np.uint8)
    bounds = np.cumsum([0, *map(len, strings)])
    slots, arena = new_table(128, len(raw))
    assert count(data, bounds, slots, arena, few_hashes) == sum(map(len, set(strings)))
    larger, _ = new_table(256, 0)
    move(slots, larger)
    for table in (slots, larger):
        rows = [row for row in table.reshape(-1, FIELDS).tolist() if row[LENGTH]]
        found = {bytes(arena[row[START] : row[START] + row[LENGTH]]): row[VALUE] for row in rows}
        assert found == {string: strings.count(string) for string in strings}
        assert len(rows) == len(found)
