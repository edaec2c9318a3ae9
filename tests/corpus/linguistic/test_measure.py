"""The kernels equal the plain definitions: on text made to provoke every rule, and on real documents."""

import json
import math
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
import smart_open
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.linguistic.characters import (
    ALPHABETIC,
    CONTENT,
    DIGIT,
    HAN,
    IDEOGRAPHIC,
    SPACE,
    TERMINAL,
    TERMINALS,
    character_classes,
)
from corpus.linguistic.measure import SCHEMA, SIGNALS, measure
from tests.corpus.linguistic.reference import is_alone, is_han, is_symbol, signals_of

ENGLISH = "the|to|of|and|a|Be|1,000|x|é|e\u0301|#|##tag|...|…|....|. . .|•|-|- item|word.|end!|?!|a. b. c. d. e."
CHINESE = (
    "的|了|我用|，|。|、|·|【|】|【标签】|カ|ﾊ|〇|々|한국어|１２|\u0660|👍|❤\ufe0f|a\u0361b|co\xadop|𠀀|一样的一行。\n"
)
CHINESE += "|今天天气很好|我们去公园|B超检查|12.5%|乒乓球拍卖|研究生命起源|a.b-c|龥㐀|艻韪鼘"
WEB = "JavaScript is|lorem Ipsum|{ |}|Terms of Use|use of cookies.|uses cookies|[12]|[edit]|[citation needed]|[x]|a b."
SPACES = " | | | |\n|\n|\n\n| \n \n|\r\n|\t|\u200b|\xa0|\u3000|\x0b|\x0c|\x1c|\x1f|\x85|\u2028|\x00|\x7f|same line\n"
PIECES = st.sampled_from("|".join((ENGLISH, CHINESE, WEB, SPACES)).split("|"))
TEXTS = st.one_of(st.lists(PIECES, max_size=120).map("".join), st.text(max_size=200))


def assert_equal(texts: list[str]) -> None:
    columns = measure(pa.array(texts, pa.large_string())).to_pydict()
    for row, text in enumerate(texts):
        for name, expected in signals_of(text).items():
            value = columns[name][row]
            assert math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-6), (
                f"{name}: {value}, not {expected}, of {text!r}"
            )


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_equals_the_definitions_on_made_text(texts: list[str]) -> None:
    assert_equal(texts)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["a ", "b ", "的", "c"]), min_size=20, max_size=150).map("".join))
def test_equals_the_definitions_on_very_repetitive_text(text: str) -> None:
    assert_equal([text])


def test_every_signal_is_a_column_and_has_a_reference() -> None:
    assert set(signals_of("")) == set(SIGNALS) == set(SCHEMA.names)
    assert len(SIGNALS) == len(set(SIGNALS))


def test_every_character_is_classed_by_its_properties() -> None:
    classes = character_classes()
    for code in (*range(0xD800), *range(0xE000, 0x32400), *range(0xE0000, 0xE0200)):
        character = chr(code)
        expected = SPACE * character.isspace() | ALPHABETIC * character.isalpha() | DIGIT * character.isdecimal()
        expected |= CONTENT * (not character.isspace() and not is_symbol(character)) | HAN * is_han(character)
        expected |= IDEOGRAPHIC * is_alone(character) | TERMINAL * (character in TERMINALS)
        assert classes[code] == expected, f"U+{code:04X}"


def test_rows_do_not_see_each_other() -> None:
    texts = ["the end of the line\nthe end of the line", "", "一样的一行。\n一样的一行。", "x" * 5000, "a b a b a b"]
    together = measure(pa.array(texts, pa.large_string()))
    for row, text in enumerate(texts):
        assert measure(pa.array([text], pa.string())).to_pylist() == together.slice(row, 1).to_pylist()


def test_threads_do_not_see_each_other() -> None:
    texts = ["".join(f"{number * k} words of a line, 一样的一行。\n" for number in range(40_000)) for k in (1, 7)]
    columns = [pa.array([text[:size] for size in (100, 5_000, 60_000)] * 3) for text in texts * 2]
    columns += [pa.array([text, text[:100]]) for text in texts]  # longer than scratch is kept for
    alone = [measure(column).to_pylist() for column in columns]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(pool.map(measure, columns * 8), alone * 8):
            assert found.to_pylist() == expected


def test_null_and_empty_documents_measure_zero() -> None:
    table = measure(pa.array([None, ""], pa.large_string()))
    assert all(value == 0 for column in table.to_pydict().values() for value in column)
    assert len(measure(pa.array([], pa.large_string()))) == 0


def test_broken_utf8_is_measured_without_harm() -> None:
    texts = [b"\xe4", b"\xff\xfe\xf0\x9f", b"the \xe4\xb8", b"ok " * 50 + b"\xf4", b"\n\x80"]
    assert measure(pa.array(texts, pa.large_binary()))["words"].to_pylist()[3] >= 50


def test_no_byte_is_read_behind_the_padding() -> None:
    """The column's buffer ends where memory may not be read; whoever does is killed, so in a process of its own."""
    script = Path(__file__).with_name("padding_guard_page.py")
    assert subprocess.run([sys.executable, script], timeout=120).returncode == 0


@pytest.mark.parametrize(
    "name", ["text/en/18f-blog", "text/en/python-peps", "text/zh/oi-wiki", "text/zh/cmrc2018-wiki"]
)
def test_equals_the_definitions_on_real_documents(headwater_data: Path, name: str) -> None:
    assert_equal([text[:20_000] for text in real_texts(headwater_data / f"{name}.jsonl.zst", 40)])


def test_paragraphs_are_parted_by_blank_lines() -> None:
    text = "one\ntwo\n\none\ntwo\n \none\n\n\n\ntwo\none\n"
    columns = measure(pa.array([text])).to_pydict()
    assert columns["duplicate_paragraphs"] == [pytest.approx(1 / 4)]
    assert columns["duplicate_paragraph_characters"] == [pytest.approx(7 / len(text))]
    assert len(re.findall("one|two", text)) == columns["lines"][0]


def real_texts(path: Path, every: int) -> list[str]:
    with smart_open.open(str(path), "rb") as file:
        return [json.loads(line)["text"] for index, line in enumerate(file) if index % every == 0]


def test_bytes_that_are_no_text_end_nothing() -> None:
    broken = [b"\x80", b"\xbf" * 200, b" \x80" * 40, "中文".encode()[:-1], b"a" * 63 + b"\xe3", b"\xf4" * 64, b"end."]
    together = measure(pa.array([*broken, *reversed(broken)], pa.binary())).to_pylist()
    assert set(together[0].values()) == set(together[1].values()) == {0.0}
    assert together[6] == together[7] == measure(pa.array(["end."])).to_pylist()[0]
