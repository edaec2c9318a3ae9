"""The scanner against the library's own components: it must cut every string exactly where they do."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from tests.tokenizer.one_text import split
from tests.tokenizer.real_texts import read_texts
from tokenizer import characters
from tokenizer.characters import class_table, members, numeric
from tokenizer.pretokenizer import PATTERNS, build_components, new_memo, scan

COMPONENTS = build_components()
# Some of every class; whoever adds a class adds a member here (the first test says so).
MEMBERS = {
    characters.OTHER: "\u0627\U0001f600\u0301\u05d0\x00\xaa",
    characters.CJK_ONLY: "中한ย—「\u9fa5\u0800",
    characters.NUMBER: "17①²\u0966〇\U0001d7d8",
    characters.NEWLINE: "\n\r",
    characters.SPACE: " \t\xa0\x85\x0b",
    characters.SPACE_CJK: "\u2003\u2028\u205f\u1680",
    characters.LETTER_PUNCT: "azZＡｚ",
    characters.LETTER: "éжßᾳ\U00010400ﬁ".replace("ᾳ", "\xb5"),
    characters.LETTER_CJK: "ệႠᏣℂⰀ",
    characters.PUNCT: "!~/@～！",
    characters.PUNCT_CJK: "“。、‟",
    characters.SPACE_PUNCT: "\u3000",
}
ALPHABET = [member for group in MEMBERS.values() for member in group]
SURROGATES = range(0xD800, 0xE000)
CODE_POINTS = [code for code in range(0x110000) if code not in SURROGATES]


def by_library(text: str) -> list[str]:
    return [text[first:last] for _, (first, last) in COMPONENTS.pre_tokenize_str(text)]


def assert_equal(text: str) -> None:
    assert split(text) == by_library(text), repr(text)


def test_every_class_has_members_here() -> None:
    table = class_table()
    assert set(np.unique(table).tolist()) == set(MEMBERS)
    for kind, group in MEMBERS.items():
        assert {int(table[ord(member)]) for member in group} == {kind}, kind


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_every_string_over_one_member_of_each_class(length: int) -> None:
    for letters in product([group[0] for group in MEMBERS.values()], repeat=length):
        assert_equal("".join(letters))


@settings(max_examples=3000, deadline=None)
@given(st.lists(st.sampled_from(ALPHABET), max_size=40))
def test_adversarial_strings(letters: list[str]) -> None:
    assert_equal("".join(letters))


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=60))
def test_any_string(text: str) -> None:
    assert_equal(text)


CONTEXTS = [
    ("", ""), ("a", "a"), (" ", ""), ("", " "), ("  ", "b"), ("é", "é"), ("中", "中"), ("!", "!"), ("1", "1"),
    ("\u3000", "\u3000"), ("\u2003", "\u2003"), ("“", "“ "), ("\u0627 ", " \u0627"), (" \u3000", "a"),
]  # fmt: skip


def _assert_equal_in_context(codes: list[int], before: str, after: str) -> None:
    """Newlines part the cases: no piece crosses one, as the first tests of this file show."""
    for first in range(0, len(codes), 1 << 16):
        part = [code for code in codes[first : first + (1 << 16)] if code not in (10, 13)]
        text = "\n".join(f"{before}{chr(code)}{after}" for code in part)
        assert split(text) == by_library(text)


def test_every_code_point_of_two_planes_alone() -> None:
    _assert_equal_in_context([code for code in CODE_POINTS if code < characters.TABLE_SIZE], "", "")


@pytest.mark.parametrize(("before", "after"), CONTEXTS)
def test_code_points_where_classes_meet_in_context(before: str, after: str) -> None:
    table = class_table()
    edges = np.flatnonzero(table[1:] != table[:-1])
    codes = sorted({int(code) + step for code in edges for step in (-1, 0, 1, 2)} | {0x20000, 0x10FFFF})
    _assert_equal_in_context([code for code in codes if code not in SURROGATES], before, after)


@pytest.mark.soak
@pytest.mark.parametrize(("before", "after"), CONTEXTS)
def test_every_code_point_in_context(before: str, after: str) -> None:
    _assert_equal_in_context(CODE_POINTS, before, after)


def test_the_sets_are_those_of_the_library() -> None:
    """Where a new Unicode version moves a character, this says which; the frozen table is then a decision to make."""
    text = "\n".join(chr(code) for code in CODE_POINTS if code < characters.TABLE_SIZE)
    digits = {piece for piece, _ in pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str(text)}
    assert {chr(code) for code in numeric()} == {piece for piece in digits if len(piece) == 1 and piece != "\n"}
    left = pre_tokenizers.Split(Regex(r"\s"), "removed").pre_tokenize_str("".join(chr(code) for code in CODE_POINTS))
    spaces = set(CODE_POINTS) - {ord(letter) for piece, _ in left for letter in piece}
    assert spaces == set(members(characters.SPACES))


def test_the_fast_path_for_ideographs_holds_nothing_else() -> None:
    table = class_table()
    assert set(table[0x4000:0x9000].tolist()) == {characters.CJK_ONLY}  # first bytes E4 to E8


def test_letters_are_the_papers() -> None:
    letters = members(characters.LETTERS)
    assert len(letters) == len(set(letters)) == 2729
    assert len(PATTERNS) == 5


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65])
def test_runs_of_letters_of_every_length(size: int) -> None:
    for tail in ("", " b", "é", "1", "中", "Ａ", "[", "`", "{", "@"):
        assert_equal(" " + "aZ" * (size // 2) + "q" * (size % 2) + tail)


def test_documents_do_not_run_into_each_other() -> None:
    data = np.frombuffer(b"abcdef" + bytes(64), np.uint8)
    ends = np.empty(8, np.int64)
    assert scan(data, 0, 3, class_table(), ends, new_memo()) == (1, 3)
    assert scan(data, 3, 6, class_table(), ends, new_memo()) == (1, 6)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ALPHABET), max_size=60).map("".join), st.integers(1, 5))
def test_a_scan_may_stop_anywhere(text: str, room: int) -> None:
    raw = text.encode()
    data = np.frombuffer(raw + bytes(64), np.uint8)
    ends, memo, at, found = np.empty(room, np.int64), new_memo(), 0, []
    while at < len(raw):
        count, at = scan(data, at, len(raw), class_table(), ends, memo)
        found += ends[:count].tolist()
    assert [raw[a:b].decode() for a, b in zip([0, *found], found)] == split(text)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_bytes_that_are_no_utf8_are_cut_without_loss(raw: bytes) -> None:
    data = np.frombuffer(raw + b"\xff" * 64, np.uint8)
    ends = np.empty(len(raw) + 1, np.int64)
    count, at = scan(data, 0, len(raw), class_table(), ends, new_memo())
    assert at == len(raw)
    assert (np.diff(ends[:count], prepend=0) > 0).all()


def test_alternating_spaces_take_linear_time() -> None:
    text = " \u2003" * 300_000 + "中"
    assert len(split(text)) == 600_000


def test_the_components_survive_being_written(tmp_path: Path) -> None:
    value = json.loads(COMPONENTS.__getstate__())
    assert [step["type"] for step in value["pretokenizers"]] == ["Split"] * 5 + ["Digits", "ByteLevel"]
    assert value["pretokenizers"][5] == {"type": "Digits", "individual_digits": True}


@pytest.mark.parametrize(
    "name",
    ["lid/lingua-testdata", "text/en/c4-demo", "text/en/python-peps", "text/zh/cmrc2018-wiki", "text/zh/oi-wiki",
     "text/zh/react-zh", "code/python-stdlib", "code/rust-std", "code/go-std"],
)  # fmt: skip
def test_real_text(headwater_data: Path, name: str) -> None:
    for text in read_texts(headwater_data / f"{name}.jsonl.zst", 1 << 20):
        assert_equal(text)
