"""Takedowns name the documents that their rules name, whatever characters those are made of."""

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.dedup.takedown import Rules, named_by, taken_down

URL = st.text("ab/%_\\.?[(+$é中\n", max_size=8)


@given(URL, st.lists(URL, min_size=1, max_size=3), st.lists(URL, min_size=2, max_size=2))
def test_a_star_stands_for_anything_and_all_else_for_itself(url: str, pieces: list[str], between: list[str]) -> None:
    named = "".join(piece + filling for piece, filling in zip(pieces, [*between, ""]))[: 8 * 5]
    pattern = "*" + "*".join(pieces)  # so that it is compared as written only
    urls = [url, named, pattern, None]
    rows = pa.table({"id": list("abcd"), "site": ["s"] * 4, "url": pa.array(urls, pa.string())})
    expression = ".*" + ".*".join(map(re.escape, pieces))
    expected = [value is not None and bool(re.fullmatch(expression, value, re.DOTALL)) for value in urls]
    assert taken_down(rows, "D", Rules(urls=(pattern,))).tolist() == expected


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("https://e.org/a", [1, 1, 1, 0, 0, 0]),
        ("e.org/a/", [1, 1, 1, 0, 0, 0]),
        ("http*://e.org/a*", [1, 1, 1, 1, 1, 0]),
        ("http://e.org/*", [1, 1, 1, 1, 1, 1]),
        ("https://e.org/a/*", [1, 1, 1, 1, 0, 0]),
        ("*/a", [1, 0, 0, 0, 0, 0]),
        ("e.org", [0, 0, 0, 0, 0, 1]),
    ],
)
def test_a_rule_names_a_page_however_its_address_is_written(pattern: str, named: list[int]) -> None:
    urls = ["http://e.org/a", "https://www.E.org:443/%61/", "http://me@e.org/a#top", "https://e.org/a/b"]
    urls += ["http://e.org/ab", "https://e.org"]
    rows = pa.table({"id": list("abcdef"), "site": ["s"] * 6, "url": urls})
    assert taken_down(rows, "D", Rules(urls=(pattern,))).tolist() == named
    assert named_by(rows, "D", Rules(urls=(pattern,))) == {f"urls: {pattern}": sum(named)}


def test_any_rule_is_enough_and_a_document_without_site_or_url_is_named_by_neither() -> None:
    rows = pa.table({"id": ["a", "b", "c"], "site": pa.array(["s", None, "t"]), "url": pa.array(["u", None, "v"])})
    assert taken_down(rows, "D", Rules(sites=("s",), urls=("v",))).tolist() == [True, False, True]
    assert taken_down(rows, "D", Rules(ids=("b",))).tolist() == [False, True, False]
    assert taken_down(rows, "D", Rules(sources=("D",))).all()
    assert not taken_down(rows, "E", Rules(sources=("D",))).any()


def test_each_rule_counts_what_it_names() -> None:
    rows = pa.table({"id": ["a", "b", "c"], "site": pa.array(["s", None, "s"]), "url": pa.array(["u1", None, "u2"])})
    rules = Rules(("D", "E"), sites=("t", "s"), urls=("u*", "x*"), ids=("b", "d"))
    assert named_by(rows, "D", rules) == {"sources: D": 3, "sites: s": 2, "urls: u*": 2, "ids: b": 1}
    assert named_by(rows.slice(0, 0), "F", rules) == {}


def test_a_value_that_is_listed_twice_is_one_rule() -> None:
    rows = pa.table({"id": ["a", "b"], "site": ["s", "s"], "url": ["u", "u"]})
    rules = Rules(("D", "D"), sites=("t", "s", "t", "s"), urls=("u", "u"), ids=("b", "b"))
    assert named_by(rows, "D", rules) == {"sources: D": 2, "sites: s": 2, "urls: u": 2, "ids: b": 1}
