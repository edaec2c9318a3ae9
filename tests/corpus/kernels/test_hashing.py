"""Hash functions against plain Python and against values that are on disk: these may never change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from corpus.kernels.hashing import (
    LOWER,
    NO_FOLD,
    fmix32,
    fmix64,
    hash_bytes,
    hash_key,
    hash_ngram,
    hash_short_key,
    splitmix64,
)
from corpus.kernels.types import U64, Word

ALL = (1 << 64) - 1
A, B = 0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD
WORDS = st.integers(0, ALL)


@njit
def mixed(value: Word) -> tuple[Word, Word]:
    return fmix64(value), splitmix64(value)


@njit
def mixed32(value: Word) -> Word:
    return fmix32(value)


@njit
def ngram(words: U64, first: int, length: int) -> Word:
    return hash_ngram(words, first, length)


def padded(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw + bytes(64), np.uint8)


def reference_key(raw: bytes) -> int:
    """`hash_key` on Python's integers."""
    number = int.from_bytes
    if len(raw) < 8:
        value = ((len(raw) << 56 | number(raw, "little")) * A) & ALL
    else:
        value, at = (len(raw) * B) & ALL, 0
        while len(raw) - at > 8:
            value = ((value ^ number(raw[at : at + 8], "little")) * B) & ALL
            value ^= value >> 32
            at += 8
        value = ((value ^ number(raw[-8:], "little")) * A) & ALL
    value ^= value >> 32
    value = (value * B) & ALL
    return value ^ (value >> 29)


def test_published_values() -> None:
    """The first outputs of splitmix64 seeded with 0 and with 1234567, and MurmurHash3's finalisers of 1."""
    assert [mixed(np.uint64(state * A & ALL))[1] for state in range(3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]
    assert mixed(np.uint64(1234567))[1] == 6457827717110365317
    assert mixed(np.uint64(1))[0] == 0xB456BCFC34C2CB2C
    assert mixed32(np.uint32(1)) == 0x514E28B7


@pytest.mark.parametrize(
    ("text", "of_bytes", "of_key", "of_short_key"),
    [
        ("", 0, 0, 0),
        ("the", 0x5C720BFD2C64670D, 0xEFEDD45B6A69905A, 0x56ED78D6550548BC),
        ("中文分词", 0x6BD151E62706FB6C, 0x98A49C9F25F1182A, 0x415A599AA0662DB1),
        ("internationalisation", 0x0F3F1B8A7EE61A61, 0x879716E5BEA556FA, 0x879716E5BEA556FA),
    ],
)
def test_values_of_today(text: str, of_bytes: int, of_key: int, of_short_key: int) -> None:
    raw = text.encode()
    data = padded(raw)
    assert hash_bytes(data, np.uint64(0), np.uint64(len(raw)), NO_FOLD) == of_bytes
    assert hash_key(data, 0, len(raw)) == of_key
    assert hash_short_key(data, 0, len(raw)) == of_short_key


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 5))
def test_keys(raw: bytes, before: int) -> None:
    data = padded(bytes(before) + raw)
    assert hash_key(data, before, before + len(raw)) == reference_key(raw)


@settings(deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=8), st.binary(max_size=8))
def test_what_lies_around_makes_no_difference(raw: bytes, before: bytes, behind: bytes) -> None:
    """(`hash_bytes` is held to plain Python by the tests of words.)"""
    data, alone = padded(before + raw + behind), padded(raw)
    first, last = len(before), len(before) + len(raw)
    assert hash_short_key(data, first, last) == hash_short_key(alone, 0, len(raw))
    assert hash_bytes(data, np.uint64(first), np.uint64(last), NO_FOLD) == hash_bytes(
        alone, np.uint64(0), np.uint64(len(raw)), NO_FOLD
    )


@settings(deadline=None)
@given(st.binary(max_size=7), st.binary(max_size=7))
def test_short_keys_never_collide(one: bytes, other: bytes) -> None:
    for hashed in (hash_key, hash_short_key):
        same = hashed(padded(one), 0, len(one)) == hashed(padded(other), 0, len(other))
        assert same == (one == other) or (hashed is hash_short_key and len(one) != len(other))


@settings(deadline=None)
@given(st.from_regex(r"[A-Za-z0-9]{0,30}", fullmatch=True))
def test_folding_ignores_case(text: str) -> None:
    end = np.uint64(len(text))
    lower = hash_bytes(padded(text.lower().encode()), np.uint64(0), end, LOWER)
    assert hash_bytes(padded(text.encode()), np.uint64(0), end, LOWER) == lower


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=8), st.data())
def test_ngrams(words: list[int], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words) - 1))
    length = data.draw(st.integers(0, len(words) - first))
    expected = 0
    for word in words[first : first + length]:
        expected = (expected * A + word) & ALL
    assert ngram(np.array(words, np.uint64), first, length) == expected
