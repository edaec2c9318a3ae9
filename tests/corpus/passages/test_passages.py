"""Repeated passages and boilerplate lines against the plainest way to find them, English and Chinese."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.kernels.words import words_of
from corpus.passages import tally
from corpus.passages.cuts import Limits, RepeatPositions, spans_to_cut
from corpus.passages.in_memory import NO_REPEATS, repeated_passages
from corpus.passages.ngrams import minimizer_keys, minimizer_set, ngram_keys
from corpus.passages.site_lines import line_keys
from corpus.passages.tally import KEY_BYTES, FirstOccurrences, Numbering, Tally
from corpus.spans import cut, span_table, spans_of

TEXTS = st.lists(
    st.lists(st.sampled_from(["a ", "B ", "c\n", "d. ", "数", "据", "- e\n\n", "’f，"]), max_size=40).map("".join),
    min_size=1,
    max_size=6,
)


def words(text: str) -> list[str]:
    return [word for word, _ in words_of(text)]


def documents(texts: list[str]) -> pa.Table:
    return pa.table({"id": [str(i) for i in range(len(texts))], "text": pa.array(texts, pa.large_string())})


def after_cutting(texts: list[str], limits: Limits, step: int = 3) -> list[str]:
    table = documents(texts)
    found = repeated_passages(lambda: [table.slice(i, step) for i in range(0, len(texts), step)], limits)
    spans = pa.concat_tables(list(found))
    assert spans["id"].equals(table["id"].cast(pa.string()))
    return cut(table["text"], [spans], {}).to_pylist()


def repeated(texts: list[str], size: int) -> list[list[bool]]:
    """Of each word, whether it lies in a run of `size` words that stands somewhere before, not overlapping itself."""
    first: dict[tuple[int, ...], tuple[int, int]] = {}
    covered = []
    for number, text in enumerate(texts):
        hashes = [value for _, value in words_of(text)]
        covered.append([False] * len(hashes))
        for at in range(len(hashes) - size + 1):
            document, word = first.setdefault(tuple(hashes[at : at + size]), (number, at))
            if document != number or at >= word + size:
                covered[-1][at : at + size] = [True] * size
    return covered


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(1, 9), st.integers(1, 4))
def test_the_words_that_stay_are_those_of_the_oracle(texts: list[str], size: int, step: int) -> None:
    expected = [
        [word for word, gone in zip(words(text), covered) if not gone]
        for text, covered in zip(texts, repeated(texts, size))
    ]
    assert [words(text) for text in after_cutting(texts, Limits(size, 1, 0), step)] == expected


ENGLISH = "The quick brown fox jumps over the lazy dog while seven wizards box, and nobody minds."
CHINESE = "数据工程师的工作是让每一个字节都有来历，去重是最重要的步骤之一。"


@pytest.mark.parametrize(("text", "size"), [(ENGLISH, 16), (CHINESE, 30)], ids=["en", "zh"])
def test_a_passage_of_just_so_many_words_stays_once(text: str, size: int) -> None:
    assert len(words(text)) == size
    texts = [f"One.\n\n{text}\n\nTwo.", f"三。\n\n{text}\n\nFour.", f"Five.\n\n{text} {text}\n\nSix."]
    assert after_cutting(texts, Limits(size, 1, 0)) == [texts[0], "三。\n\nFour.", "Five.\n\nSix."]
    assert after_cutting(texts, Limits(size + 1, 1, 0))[:2] == texts[:2]
    changed = [text, text.replace("brown", "red").replace("工作", "工夫")]
    assert after_cutting(changed, Limits(size, 1, 0)) == changed


def test_case_accents_and_punctuation_make_no_difference() -> None:
    texts = ["Le café — déjà vu, “encore”!", "Before. LE CAFE: deja vu (encore). After."]
    assert after_cutting(texts, Limits(5, 1, 0)) == [texts[0], "Before. After."]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("x y z a b c d e f.", "x y z f."),  # inside a line
        ("x.\n- a b c d e\n- y\n", "x.\n- y\n"),  # a line, with its bullet
        ("x: a b c d e.\ny\n", "x: \ny\n"),  # the end of a line keeps the line's end
        ("x\n\na b\nc d\n\ne\n\n\ny", "x\n\ny"),  # over lines, with what separates it from the next
        ("\n “a b c d e” x", "x"),  # at the beginning
        ("x a b c d e ...", "x "),  # at the end
        ("a b c d e", ""),
    ],
)
def test_what_goes_with_the_words(text: str, left: str) -> None:
    assert after_cutting(["a b c d e", text], Limits(5, 1, 0)) == ["a b c d e", left]


def test_of_what_repeats_itself_one_ngram_stays() -> None:
    assert after_cutting(["buy now " * 50], Limits(6, 1, 0)) == ["buy now " * 3]
    assert after_cutting(["buy now " * 3, "buy now " * 50], Limits(6, 1, 0)) == ["buy now " * 3, ""]


def test_where_too_little_would_stay_all_is_cut() -> None:
    texts = ["a b c d e f g h", "x a b c d e f g h y z"]
    assert after_cutting(texts, Limits(8, 1, 3))[1] == "x y z"
    assert after_cutting(texts, Limits(8, 1, 4))[1] == ""
    table = documents(texts)
    [found] = repeated_passages(lambda: [table], Limits(8, 1, 4))
    assert found["spans"].to_pylist()[1] == [{"start": 0, "end": len(texts[1]), "kind": "rest"}]
    assert after_cutting(["a b", "c d"], Limits(8, 1, 4)) == ["a b", "c d"]  # short, but nothing in it repeats


def test_equal_ngrams_have_equal_minimizers() -> None:
    """Why minimizers may decide which n-grams are looked at, and that they are few."""
    chance = np.random.default_rng(0)
    passage = " ".join(f"w{i}" for i in chance.integers(0, 10**6, 50))
    texts = [" ".join(f"w{i}" for i in chance.integers(0, 10**6, 5000)) for _ in range(2)]
    keys = [set(minimizer_keys(pa.array([f"{text[:n]} {passage}"]), 50)) for n, text in enumerate(texts, 100)]
    assert len(keys[0] & keys[1]) >= 1
    minimizers = minimizer_keys(pa.array(texts), 50)
    assert 0.9 < len(minimizers) / (2 * 4951 * 2 / 27) < 1.1
    assert len(ngram_keys(pa.array(texts), 50, minimizer_set(minimizers[:0])).keys) == 0
    assert len(ngram_keys(pa.array(texts), 50, minimizer_set(minimizers)).keys) == 2 * 4951


SITES = st.lists(
    st.tuples(
        st.sampled_from([None, "one.org", "two.cn"]),
        st.lists(st.sampled_from(["", "home", "About us!", "- a b c d", "隐私政策", "* * *", "new thing"]), max_size=9),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(SITES, st.integers(1, 4), st.integers(1, 20), st.sampled_from(["\n", "\n\n", " \n"]))
def test_lines_as_the_oracle(rows: list[tuple[str | None, list[str]]], least: int, run: int, feed: str) -> None:
    """Lines that enough documents of a site have go, but for the first of these, where enough words are together."""
    texts, sites = pa.array([feed.join(lines) for _, lines in rows], pa.string()), pa.array([s for s, _ in rows])
    found = line_keys(texts, sites.cast(pa.string()))
    tally = Tally()
    tally.add(found.keys, found.rows.astype(np.uint64))
    have, first = tally.of(found.keys)
    chosen = (have >= least) & (first != found.rows)
    marks = RepeatPositions(found.rows[chosen].astype(np.int64), found.lines[chosen].astype(np.int64))
    spans = span_table(pa.array(["x"] * len(rows)), spans_to_cut(texts, NO_REPEATS, marks, Limits(9, run, 0)))
    owners: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for number, (site, lines) in enumerate(rows):
        for line in {tuple(words(line)) for line in lines if site and words(line)}:
            owners.setdefault((site or "", line), []).append(number)
    for number, (site, lines) in enumerate(rows):
        worded = [line for line in lines if words(line)]
        of = [owners.get((site or "", tuple(words(line))), []) for line in worded]
        gone = [len(documents) >= least and documents[0] != number for documents in of]
        kept: list[str] = []
        pending: list[str] = []
        for line, cut_it in [*zip(worded, gone), ("", False)]:
            if cut_it:
                pending += words(line)
            else:
                kept += [*(pending if sum(len(word.encode()) for word in pending) < run else []), *words(line)]
                pending = []
        [left] = cut(texts.slice(number, 1), [spans.slice(number, 1)], {}).to_pylist()
        assert words(left) == kept
    assert set(spans_of(spans).kinds.to_pylist()) <= {"line"}


@given(st.lists(st.lists(st.integers(1, 40), max_size=30), max_size=6))
@settings(max_examples=100, deadline=None)
def test_counting_as_dictionaries_do(batches: list[list[int]]) -> None:
    keys = [np.array(batch, np.uint64) * np.uint64(0x9E3779B97F4A7C15) for batch in batches]
    numbers, known = Numbering(), dict[int, int]()
    tally, places = Tally(), dict[int, list[int]]()
    for number, batch in enumerate(keys):
        assert numbers.number(batch).tolist() == [known.setdefault(key, len(known)) for key in batch.tolist()]
        tally.add(batch, np.full(len(batch), number, np.uint64))
        for key in batch.tolist():
            places.setdefault(key, []).append(number)
    for batch in keys:
        counts, first = tally.of(batch)
        assert counts.tolist() == [len(set(places[key])) for key in batch.tolist()]
        assert first.tolist() == [min(places[key]) for key in batch.tolist()]
    assert len(numbers) == len(known)


def test_a_key_on_every_page_costs_no_memory() -> None:
    """What is held grows with distinct keys, not with how often they occur."""
    first = FirstOccurrences(50)
    keys, words = np.full(1 << 16, 7, np.uint64), np.zeros(1 << 16, np.uint32)
    for batch in range(20):
        again = first.repeated(keys, np.arange(1 << 16, dtype=np.uint64) + np.uint64(batch << 16), words)
        assert again.sum() == len(again) - (batch == 0)
    assert len(first.numbering) == len(first._documents) == 1
    assert len(first.numbering._slots) == 2 << 10
    many = np.arange(1, 5000, dtype=np.uint64)
    assert first.numbering.number(many).tolist() == [*range(1, 7), 0, *range(7, 4999)]
    assert len(first.numbering._slots) == 2 << 14


def test_a_key_costs_what_it_is_said_to() -> None:
    Tally().add(np.arange(3000, dtype=np.uint64))  # compiled
    worst = 0.0
    tracemalloc.start()
    tally = Tally()
    for start in range(0, 140_000, 500):
        tracemalloc.reset_peak()
        tally.add(np.arange(start, start + 500, dtype=np.uint64))
        if start > 20_000:
            worst = max(worst, tracemalloc.get_traced_memory()[1] / len(tally.numbering))
    tracemalloc.stop()
    assert 0.9 * KEY_BYTES < worst < KEY_BYTES


def test_a_column_with_room_keeps_what_is_there() -> None:
    column = tally._with_room(np.arange(3, dtype=np.uint32), 4)
    assert column.tolist() == [0, 1, 2, 0, 0, 0]
    assert tally._with_room(column, 6) is column


def test_keys_of_today() -> None:
    """They are in tables on disk."""
    text = pa.array(["The quick brown fox jumps over the lazy dog, and 中文分词也一样。", "naïve café", ""])
    minimizers = minimizer_keys(text, 6)
    assert minimizers.tolist() == [
        *(0x2291AB5C9A82849D, 0x0C2A68CD0DE80024),
        *(0x04E315301301C8E6, 0x1CAF4123EB8310A8),
    ]
    found = ngram_keys(text, 6, minimizer_set(minimizers[:1].copy()))
    assert found.keys.tolist() == [0xDC7CA9274FEB1CC8, 0x1ABB5BE0CECB2EDC]
    lines = line_keys(text, pa.array(["a.org", "b.org", None]))
    assert lines.sites.tolist() == [0xBC7083F9ABEF795D, 0x59E1D2B550DE4774]
    assert lines.keys.tolist() == [0x740D95A03C6855F6, 0xAD8991EB5F313940]
