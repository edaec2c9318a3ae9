"""Vector operations against plain Python, a byte at a time."""

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from corpus.kernels.simd import LANES, affine_minima, letter_mask, newline_mask, range_mask, word_masks
from corpus.kernels.types import U8, U32

TEXT = st.lists(st.integers(0, 255) | st.sampled_from(b"azAZ09_\n`{@[/:\x7f\x80"), min_size=70, max_size=70)


@njit
def masks(data: U8, at: int) -> tuple[int, int, int, int]:
    word, high = word_masks(data, at)
    return word, high, newline_mask(data, at), letter_mask(data, at)


@njit
def within(data: U8, at: int, first: int, count: int) -> int:
    return range_mask(data, at, first, count)


@njit
def minima(hashes: U32, count: int, multipliers: U32, increments: U32, out: U32) -> None:
    for first in range(0, len(multipliers), 5):
        affine_minima(hashes, count, multipliers, increments, first, out)


def mask_of(data: bytes, at: int, is_set: Callable[[int], bool]) -> int:
    return sum(1 << i for i, byte in enumerate(data[at : at + 64]) if is_set(byte))


@settings(deadline=None)
@given(TEXT, st.integers(0, 6), st.integers(0, 255), st.integers(1, 255))
def test_masks(values: list[int], at: int, first: int, count: int) -> None:
    raw = bytes(values)
    data = np.frombuffer(raw, np.uint8)
    word = mask_of(raw, at, lambda byte: byte >= 0x80 or chr(byte).isalnum() or byte == ord("_"))
    high = mask_of(raw, at, lambda byte: byte >= 0x80)
    feeds = mask_of(raw, at, lambda byte: byte == ord("\n"))
    letters = mask_of(raw, at, lambda byte: byte < 0x80 and chr(byte).isalpha())
    assert masks(data, at) == (word, high, feeds, letters)
    assert within(data, at, first, count) == mask_of(raw, at, lambda byte: (byte - first) % 256 < count)


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 12), st.randoms(use_true_random=False))
def test_minima(vectors: int, permutations: int, random: object) -> None:
    generator = np.random.default_rng(getattr(random, "getrandbits")(32))  # noqa: B009
    hashes = generator.integers(0, 1 << 32, vectors * LANES, dtype=np.uint32)
    multipliers, increments = generator.integers(0, 1 << 32, (2, permutations), dtype=np.uint32)
    out = np.empty(permutations, np.uint32)
    minima(hashes, len(hashes), multipliers, increments, out)
    assert out.tolist() == [int((a * hashes + b).min()) for a, b in zip(multipliers, increments)]
