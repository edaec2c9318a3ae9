"""Unaligned loads and stores against Python's bytes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from corpus.kernels.memory import load64, prefetch, store64
from corpus.kernels.types import U8


@njit
def loaded(data: U8, index: int) -> int:
    return load64(data, index)


@njit
def stored(data: U8, index: int, value: np.uint64) -> None:
    prefetch(data, index)
    store64(data, index, value)


@settings(deadline=None)
@given(st.binary(min_size=8, max_size=40), st.data())
def test_loading_and_storing(raw: bytes, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(raw) - 8))
    value = data.draw(st.integers(0, (1 << 64) - 1))
    array = np.frombuffer(bytearray(raw), np.uint8)
    assert loaded(array, index) == int.from_bytes(raw[index : index + 8], "little")
    stored(array, index, np.uint64(value))
    assert bytes(array) == raw[:index] + value.to_bytes(8, "little") + raw[index + 8 :]
