"""The segmentation against a plain-Python reading of its definition."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.io.buffers import utf8_buffers
from corpus.kernels.words import new_scratch, split_words, words_of

MASK = (1 << 64) - 1
A, B = 0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD


def reference_hash(word: bytes) -> int:
    """`hash_bytes`, one 8-byte chunk at a time, on Python integers."""

    def chunk(i: int, count: int = 8) -> int:
        return int.from_bytes(word[i : i + count].ljust(8, b"\0"), "little")

    value, at, length = 0, 0, len(word)
    while length - at > 16:
        value = ((value ^ chunk(at)) * A) & MASK
        value ^= value >> 32
        at += 8
    value = ((value ^ chunk(at)) * A) & MASK
    value ^= value >> 29
    value = ((value ^ chunk(at + 8) ^ length) * B) & MASK
    return value ^ (value >> 32)


def reference_character(code: int) -> int:
    value = (code * A) & MASK
    value ^= value >> 29
    value = (value * B) & MASK
    return value ^ (value >> 32)


def is_cjk(c: str) -> bool:
    o = ord(c)
    name = unicodedata.name(c, "")
    kana = (
        name.startswith(("HIRAGANA", "KATAKANA-HIRAGANA PROLONGED", "KATAKANA")) and unicodedata.category(c)[0] == "L"
    )
    bopomofo = name.startswith("BOPOMOFO LETTER")
    return 0x3400 <= o <= 0x4DBF or 0x4E00 <= o <= 0x9FFF or 0xF900 <= o <= 0xFAFF or o >= 0x20000 or kana or bopomofo


def reference_words(text: str) -> list[tuple[str, int]]:
    """Words as written with their hashes, from the definition in the module's docstring, by Unicode properties."""
    found: list[tuple[str, int]] = []
    raw, bare = "", ""

    def flush() -> None:
        nonlocal raw, bare
        if bare:
            found.append((raw, reference_hash(bare.encode().replace(b"_", b"\x7f"))))
        raw = bare = ""

    for c in text:
        category = unicodedata.category(c)
        if category in ("Mn", "Me") or (category == "Cf" and c != "\u200b"):
            raw += c if raw else ""
            continue
        parts = [p for p in unicodedata.normalize("NFKD", c) if unicodedata.category(p) not in ("Mn", "Me")]
        hangul = "\uac00" <= c <= "\ud7a3"
        n = parts[0] if len(parts) == 1 and not hangul else c
        n = n.lower() if len(n.lower()) == 1 else n
        if is_cjk(n):
            flush()
            found.append((c, reference_character(ord(n))))
        elif n == "_" or unicodedata.category(n)[0] in "LN" or unicodedata.category(n) == "Mc":
            raw, bare = raw + c, bare + n
        else:
            flush()
    flush()
    return found


ALPHABET = (
    "abzAZ059_ \t\n.,-'éÉñßœŒŁðŽ²½ﬁ×àãāġα\u03a9Жйאب中文汉字。，？！「」ＡＢｚ９＿　がくアー한글ก"
    "\u0301\u00ad\u200d\u200b\ufeff\u2019€😀𝐀𠀀\u2f00İȺ"
)


PLAIN = "abzAZ059_ .\n"


def long_text(alphabet: str, longest: int = 300) -> st.SearchStrategy[str]:
    """Texts of any length up to `longest`: Hypothesis's own are short, and the kernels take 64 bytes at a time."""
    return st.builds(
        lambda length, random: "".join(random.choices(alphabet, k=length)), st.integers(0, longest), st.randoms()
    )


@settings(max_examples=400, deadline=None)
@given(long_text(ALPHABET) | long_text(PLAIN) | long_text(PLAIN * 9 + ALPHABET))
def test_words_equal_the_reference(text: str) -> None:
    assert words_of(text) == reference_words(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(long_text(ALPHABET) | long_text(PLAIN), min_size=1, max_size=6))
def test_a_document_does_not_depend_on_its_neighbours(texts: list[str]) -> None:
    data, offsets = utf8_buffers(pa.array(texts, pa.string()))
    scratch = new_scratch(int(np.diff(offsets).max()))
    for text, start, end in zip(texts, offsets[:-1], offsets[1:]):
        count = split_words(data, start, end, scratch)
        spans = zip(scratch.starts[:count], scratch.ends[:count], scratch.hashes[:count])
        assert [(bytes(data[a:b]).decode(), int(h)) for a, b, h in spans] == reference_words(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Café NAÏVE", "cafe\u0301 nai\u0308ve"),
        ("ＡＢＣ１２３", "abc123"),
        ("co\u00adoperate", "cooperate"),
        ("DON'T stop", "don t, STOP!"),
        ("中文，测试。", "中文 测试"),
    ],
)
def test_normalisation_unites(one: str, other: str) -> None:
    assert [h for _, h in words_of(one)] == [h for _, h in words_of(other)]


@pytest.mark.parametrize(("one", "other"), [("v1", "v2"), ("ā", "ġ"), ("ab", "a b"), ("а", "a"), ("中", "文")])
def test_different_words_stay_different(one: str, other: str) -> None:
    assert [h for _, h in words_of(one)] != [h for _, h in words_of(other)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.builds(lambda n, random: random.randbytes(n), st.integers(0, 300), st.randoms()))
def test_any_bytes_are_survived(raw: bytes) -> None:
    data, _ = utf8_buffers(pa.array([raw], pa.binary()))
    scratch = new_scratch(len(raw))
    count = split_words(data, 0, len(raw), scratch)
    starts, ends = scratch.starts[:count], scratch.ends[:count]
    assert (starts < ends).all()
    assert (ends[:-1] <= starts[1:]).all()
    assert count == 0 or (starts[0] >= 0 and ends[-1] <= len(raw))
