"""Reading and writing characters against Python's codec."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from corpus.kernels.memory import load64
from corpus.kernels.types import U8, Word
from corpus.kernels.utf8 import decode, decode_checked, encode, point_of_three

CHARACTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\x7f\x80߿ࠀ￿𐀀\U0010ffff中😀")


@njit
def read(data: U8, at: Word) -> tuple[Word, Word]:
    return decode(data, at)


@njit
def read_checked(data: U8, at: Word, end: Word) -> tuple[Word, Word]:
    return decode_checked(data, at, end)


@njit
def read_three(data: U8) -> Word:
    return point_of_three(load64(data, 0))


@njit
def write(code: Word, out: U8) -> Word:
    return encode(code, out, np.uint64(0))


def padded(raw: bytes) -> U8:
    return np.frombuffer(raw + bytes(16), np.uint8)


@settings(deadline=None)
@given(CHARACTERS, st.text(max_size=3))
def test_characters(character: str, behind: str) -> None:
    raw = character.encode()
    data = padded(raw + behind.encode())
    expected = ord(character), len(raw)
    assert read(data, np.uint64(0)) == expected
    assert read_checked(data, np.uint64(0), np.uint64(len(raw))) == expected
    assert len(raw) != 3 or read_three(data) == ord(character)
    out = np.zeros(8, np.uint8)
    assert bytes(out[: write(np.uint32(ord(character)), out)]) == raw


@settings(deadline=None)
@given(
    st.binary(min_size=1, max_size=6)
    | st.text(min_size=1, max_size=2).map(lambda text: text.encode("utf-8", "replace")),
    st.data(),
)
def test_malformed_bytes(raw: bytes, data: st.DataObject) -> None:
    """Python takes fewer: no longer form than needed, no surrogate, nothing beyond the last character."""
    end = data.draw(st.integers(1, len(raw)))
    code, length = read_checked(padded(raw), np.uint64(0), np.uint64(end))
    lead = raw[0]
    size = (
        1
        if lead < 0x80
        else 2
        if 0xC2 <= lead < 0xE0
        else 3
        if 0xE0 <= lead < 0xF0
        else 4
        if 0xF0 <= lead < 0xF5
        else 0
    )
    whole = 0 < size <= end and all(byte & 0xC0 == 0x80 for byte in raw[1:size])
    if not whole:
        assert (code, length) == (0, 1)
        return
    assert length == size
    try:
        assert chr(code) == raw[:size].decode()
    except UnicodeDecodeError:
        assert code < 0x10000 or code > 0x10FFFF
