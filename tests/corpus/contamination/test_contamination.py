"""Benchmark items in documents: against a plain-Python oracle, and the rules one by one."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.contamination.benchmarks import BenchmarkText, read_benchmark
from corpus.contamination.index import LEAST_BYTES, TEMPLATE, build_index
from corpus.contamination.match import SIGNAL, Matcher
from corpus.errors import UsageError
from corpus.kernels.words import words_of

QUESTION = (
    "Janet's ducks lay sixteen eggs per day. She eats three for breakfast every morning and bakes muffins for her "
    "friends every day with four. How much in dollars does she make every day at the market?"
)
CHINESE = "某乡镇进行新区规划，决定以市民公园为中心，在东南西北分别建设一个特色社区。这四个社区分别定为文化区和休闲区。"


def held(pieces: list[BenchmarkText], documents: list[str], least_share: float = 0.5) -> pa.Table:
    matcher = Matcher(build_index(pieces), least_share)
    ids = [str(number) for number in range(len(documents))]
    return matcher.match(pa.chunked_array([ids]), pa.chunked_array([pa.array(documents, pa.large_string())]))


def items(pieces: list[BenchmarkText], documents: list[str], least_share: float = 0.5) -> list[int]:
    return held(pieces, documents, least_share)[SIGNAL].to_pylist()


def expected(pieces: list[BenchmarkText], document: str, least_share: float) -> set[int]:
    """The pieces a document holds, by sets of tuples of words."""

    def grams(text: str, length: int) -> set[tuple[int, ...]]:
        words = words_of(text)
        windows = [words[i : i + length] for i in range(len(words) - length + 1)]
        return {
            tuple(value for _, value in window)
            for window in windows
            if sum(len(word.encode()) for word, _ in window) >= LEAST_BYTES
        }

    found = set()
    for number, piece in enumerate(pieces):
        words = words_of(piece.text)
        length = min(13, len(words))
        if length < 8 or not (of := grams(piece.text, length)):
            continue
        if len(of & grams(document, length)) / len(of) >= least_share:
            found.add(number)
    return found


word = st.sampled_from(["alpha", "beta", "gamma", "delta", "x"])
prose = st.lists(word, max_size=60).map(" ".join)


@settings(deadline=None)
@given(texts=st.lists(prose, min_size=1, max_size=TEMPLATE), documents=st.lists(prose, max_size=4))
def test_equals_the_definition(texts: list[str], documents: list[str]) -> None:
    pieces = [BenchmarkText("set", number, "question", text) for number, text in enumerate(texts)]
    found = held(pieces, documents)["matches"].to_pylist()
    assert [{one["item"] for one in matches} for matches in found] == [expected(pieces, d, 0.5) for d in documents]


def test_punctuation_case_and_width_hide_nothing() -> None:
    document = "A page. " + QUESTION.upper().replace(" ", " - ").replace("DUCKS", "ＤＵＣＫＳ") + " The end."
    assert items([BenchmarkText("gsm8k", 0, "question", QUESTION)], [document, "A page about ducks and eggs."]) == [
        1,
        0,
    ]


def test_chinese_is_found_by_its_characters() -> None:
    table = held(
        [BenchmarkText("logiqa", 3, "passage", CHINESE)], [f"题目：{CHINESE}（）答案", "新区规划以市民公园为中心"]
    )
    assert table[SIGNAL].to_pylist() == [1, 0]
    (match,) = table["matches"].to_pylist()[0]
    text = f"题目：{CHINESE}".encode()
    assert text[match["start"] : match["end"]].decode() == CHINESE.rstrip("。")


def test_a_quotation_is_not_the_item() -> None:
    half = QUESTION[: len(QUESTION) // 2]
    assert items([BenchmarkText("gsm8k", 0, "question", QUESTION)], [half]) == [0]
    assert items([BenchmarkText("gsm8k", 0, "question", QUESTION)], [half], least_share=0.1) == [1]


def test_what_is_too_short_or_shared_is_not_looked_for() -> None:
    short = [
        BenchmarkText("s", 0, "q", "What is the capital of France?"),
        BenchmarkText("s", 1, "q", "a, b, c, d, e, f, g, h, i"),
    ]
    assert build_index(short).texts["grams"].to_pylist() == [0, 0]
    template = "Which of the following statements about the text above is the one that is correct"
    shared = [BenchmarkText("s", number, "q", f"{template} number{number}") for number in range(TEMPLATE + 1)]
    assert build_index(shared[:-1]).texts["grams"].to_pylist() == [4] * TEMPLATE
    assert build_index(shared).texts["grams"].to_pylist() == [1] * (TEMPLATE + 1)
    other_set = [BenchmarkText(f"set{number}", 0, "q", template) for number in range(TEMPLATE + 1)]
    assert all(build_index(other_set).texts["grams"].to_pylist())


def test_an_item_counts_once() -> None:
    pieces = [
        BenchmarkText("s", 0, "question", QUESTION),
        BenchmarkText("s", 0, "answer", QUESTION),
        BenchmarkText("t", 0, "q", QUESTION),
    ]
    assert items(pieces, [QUESTION + QUESTION, ""]) == [2, 0]


def test_an_index_of_nothing_finds_nothing() -> None:
    assert items([], [QUESTION]) == [0]


def test_reads_sets(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    rows = [{"id": 7, "question": "q", "options": ["a", {"b": "c"}]}, {"question": None, "answer": "d"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pieces = list(read_benchmark("s", [str(path)]))
    assert pieces == [
        BenchmarkText("s", 0, "question", "q"),
        BenchmarkText("s", 0, "options", "a\nc"),
        BenchmarkText("s", 1, "answer", "d"),
    ]
    assert list(read_benchmark("s", [str(path)], ["answer"])) == pieces[2:]
    with pytest.raises(UsageError, match="no item has a field `solution`"):
        list(read_benchmark("s", [str(path)], ["solution"]))
    path.write_text('{"question": "q"}\n{"question": \n')
    with pytest.raises(UsageError, match=r"set.jsonl, offset 18: benchmark s cannot be read"):
        list(read_benchmark("s", [str(path)]))


def test_real_benchmarks_are_found_in_a_page_and_not_in_books(headwater_data: Path) -> None:
    pieces = list(read_benchmark("gsm8k", [str(headwater_data / "eval/gsm8k.test.jsonl.zst")]))
    questions = [piece.text for piece in pieces if piece.field == "question"]
    books = [
        piece.text for piece in read_benchmark("books", [str(headwater_data / "text/en/18f-blog.jsonl.zst")], ["text"])
    ]
    table = held(pieces, ["\n\n".join(questions[10:20]), *books])
    assert table[SIGNAL].to_pylist() == [10, *[0] * len(books)]
