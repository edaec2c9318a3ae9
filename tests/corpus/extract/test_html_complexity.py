"""The count of a page's work, before it is parsed."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.extract.html_complexity import _FEW_BYTES, _FEW_TAGS, MAX_ATTRIBUTES, MAX_WORK, measure, too_complex
from corpus.extract.main_text import main_text

HARD = {
    "nested": b"<div>" * 100_000 + b"deep",
    "nested and closed": b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000,
    "wide and deep": b"<div>" * 200 + b"<p>x</p>" * 120_000,
    "false end tags": b"<span><div></span></x></p>" * 20_000,
    "behind a table": b"<div><table><td></div>" * 20_000,
    "attributes": b"<p " + b" ".join(b"a%d=1" % number for number in range(50_000)) + b">",
    "many bodies": b"".join(b"<body a%d=1>" % number for number in range(50_000)),
}


@pytest.mark.parametrize("name", HARD)
def test_pages_built_to_hurt_pass_a_limit(name):
    shape = measure(HARD[name])
    assert shape.work > MAX_WORK or shape.attributes > MAX_ATTRIBUTES


@pytest.mark.parametrize(
    ("html", "work", "attributes"),
    [
        (b"<div><p>a<p>b</div><div>c</div>", 1 + 2 + 2 + 1 + 2, 0),
        (b"<ul><li>a<li>b<li>c</ul>", 1 + 2 + 2 + 2 + 1, 0),
        (b"<!-- <div><div> --><br><img src='a>b' alt=\"<div>\" x>", 2, 3),
        (b"<script>'<div><div><div>'</script><b>x</b>", 1 + 0 + 1 + 1, 0),
        (b"a < b > c << d <3 <", 0, 0),
        (b"<DIV CLASS=a ID = 'b'></DIV>", 2, 2),
        (b"", 0, 0),
    ],
)
def test_the_count(html, work, attributes):
    assert measure(html) == (work, attributes)


def test_work_at_half_the_limit_takes_seconds():
    html = "<div>" * 200 + "<p>x</p>" * 40_000
    assert MAX_WORK * 0.35 < measure(html.encode()).work < MAX_WORK
    start = time.process_time()
    assert main_text(html)
    assert time.process_time() - start < 30


@given(st.binary(max_size=500))
def test_any_bytes_are_counted(data):
    shape = measure(data)
    assert 0 <= shape.work <= (len(data) + 1) ** 2
    assert 0 <= shape.attributes <= len(data)


def test_pages_that_are_not_counted_could_not_pass():
    for seed in range(3):
        tags = random.Random(seed).choices([b"<a>", b"<b>", b"</a>", b"<i>"], k=_FEW_TAGS)
        assert measure(b"".join(tags)).work < MAX_WORK
    assert measure(b"<a>" * _FEW_TAGS).work < MAX_WORK
    assert not too_complex(b"<a>" * _FEW_TAGS)
    assert too_complex(b"<a>" * 12_000)
    assert too_complex(b"<p " + b"ab " * _FEW_BYTES + b">")


def test_the_most_attributes_that_are_not_counted():
    html = "<p " + " ".join(f"{number:x}" for number in range(_FEW_BYTES // 5)) + ">text"
    assert not too_complex(html.encode())
    start = time.process_time()
    assert main_text(html) == "text"
    assert time.process_time() - start < 10


def test_real_pages_are_far_below(headwater_data):
    from corpus.crawl.records import Record
    from corpus.crawl.warc import read_records

    for path in sorted((headwater_data / "warc/other-crawls").glob("*.warc.gz"))[:4]:
        with open(path, "rb") as stream:
            for item in read_records(stream):
                if isinstance(item, Record) and b"text/html" in item.content[:2000]:
                    assert measure(item.content).work < MAX_WORK / 50


@pytest.mark.parametrize(
    ("opened", "block"),
    [
        ("<div>{}</div>", "<div>x</div>"),
        ("<ul><li>{}</li></ul>", "<ul><li>x</ul>"),
        ("<span>{}</span>", "<p>x</p>"),
        ("<table>{}</table>", "<div>x</div>"),
        ("<b>{}</b>", "<p>x"),
    ],
)
def test_formatting_left_open_that_every_block_repeats(opened, block):
    marks = "".join(f"<i a={number}>" for number in range(600))
    page = (opened.format(marks) + block * 6000).encode()
    assert too_complex(page)
    assert not too_complex((opened.format("<i>") + block * 6000).encode())
    assert not too_complex((opened.format("<i>" * 600) + block * 6000).encode())  # equal ones are opened three times
    closed = opened.format(marks + "</i>" * 600)
    assert not too_complex((closed + block * 6000).encode())
