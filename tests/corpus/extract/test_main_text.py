"""Pages to text: what is a page, what its text is, and what form text has."""

import gzip
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.crawl.records import Record
from corpus.document import RejectedRecord
from corpus.extract.main_text import clean, html_text, page_of
from tests.corpus.crawl.archives import http, page

ILLEGAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def response(content: bytes, media_type: str = "") -> Record:
    return Record("response", 0, "<https://example.org/a b>", "2023-05-28T12:34:56Z", media_type, content)


def reason(record: Record, **limits: int) -> str:
    with pytest.raises(RejectedRecord) as refused:
        page_of(record, **limits)
    return refused.value.reason


def test_a_page():
    found = page_of(response(http(page("The flood", "They went home."))))
    assert found.url == "https://example.org/a%20b"
    assert found.charset == "utf-8"
    assert found.text.splitlines()[0] == "The flood"
    assert found.text.endswith("They went home.")


def test_a_chinese_page_in_gbk_sent_as_gzip():
    body = page("洪水", "傍晚时分，水退了，人们都回家去了。").decode().encode("gbk")
    headers = "Content-Type: text/html; charset=gb2312\r\nContent-Encoding: gzip\r\n"
    found = page_of(response(http(gzip.compress(body), headers)))
    assert found.text.startswith("洪水")
    assert (found.charset, found.payload) == ("gb18030", body)


def test_a_page_without_main_content_gives_all_of_its_text():
    table = b"<html><body><table><tr><td>retries</td><td>How often to try.</td></tr></table></body></html>"
    assert "How often to try." in page_of(response(http(table))).text


def test_plain_text_is_kept_whole():
    found = page_of(response(http("a\r\nb\r\n\r\n€".encode(), "Content-Type: text/plain; charset=utf-8\r\n")))
    assert found.text == "a\nb\n\n€"


def test_conversions_of_a_wet_file():
    record = Record("conversion", 0, "https://example.org/", "2023-05-28T12:34:56Z", "", "标题\n正文".encode())
    assert page_of(record).text == "标题\n正文"
    record.content = b" \n"
    assert reason(record) == "empty-text"
    record.content = b"x" * 3000
    assert reason(record, max_html=2000) == "too-large"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (response(b"not http at all"), "not-http"),
        (response(http(page(), status="404 Not Found")), "http-status"),
        (response(http(page(), status="301 Moved")), "http-status"),
        (response(http(b"%PDF-1.4 ...")), "not-html"),
        (response(http(b"\x89PNG\r\n\x1a\n", "Content-Type: image/png\r\n")), "not-html"),
        (response(http(b"{}", "Content-Type: application/json\r\n")), "not-html"),
        (response(http(b"no markup here", "")), "not-html"),
        (response(http(b"")), "empty-text"),
        (response(http(b"<html><head><title>Moved</title><script>x()</script></head></html>")), "empty-text"),
        (response(http(bytes(range(256)) * 40)), "undecodable"),
        (response(http(b"<html>" + b"<div>" * 50_000 + b"x")), "too-complex"),
        (response(http(b"<p " + b" ".join(b"a%d" % n for n in range(90_000)) + b">x")), "too-complex"),
        (Record("response", 0, problem="truncated", detail="here"), "truncated"),
    ],
)
def test_what_is_no_page_is_refused_with_its_reason(record, expected):
    assert reason(record) == expected


def test_large_pages_are_refused():
    assert reason(response(http(page(body="x" * 5000))), max_html=4000) == "too-large"
    bomb = http(gzip.compress(b"<p>" + b"a" * (32 << 20)), "Content-Type: text/html\r\nContent-Encoding: gzip\r\n")
    assert reason(response(bomb)) == "too-large"


def test_a_page_without_a_type_is_known_by_the_crawler_or_its_markup():
    assert page_of(response(http(page(), ""))).text
    assert page_of(response(http(page(), "Content-Type: application/octet-stream\r\n"), "text/html")).text
    assert reason(response(http(b"GIF89a" + page(), ""))) == "not-html"


def text_or_reason(html: bytes) -> tuple[str, str]:
    try:
        return html_text(html)[0], ""
    except RejectedRecord as refused:
        return "", refused.reason


@pytest.mark.parametrize("tag", ["b", "span", "font", "a", "table", "ul><li"])
def test_deep_nesting_neither_hangs_nor_crashes(tag):
    text, refused = text_or_reason(f"<body><p>{f'<{tag}>' * 100_000}deep".encode())
    assert text == "deep" or refused in ("too-complex", "empty-text")


def test_nulls_and_controls_do_not_reach_the_text():
    text, _ = html_text(page(body="one\0two\x01three\x85four&#0;five&#xD800;six\u2028seven\ufeff"))
    assert not ILLEGAL.search(text)


@given(st.text(max_size=200))
def test_clean_text_has_one_form(text):
    found = clean(text)
    assert not ILLEGAL.search(found)
    assert found == found.strip()
    assert clean(found) == found
    found.encode("utf-8")


def test_line_ends_become_line_feeds():
    assert clean("a\r\nb\rc\u2028d\x0be\x0cf\n\ng\th\u00a0i") == "a\nb\nc\nd\ne\nf\n\ng\th\u00a0i"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"<div>",
                b"</div>",
                b"<p>",
                b"\0",
                b"&#0;",
                b"\xff\xfe",
                b"text ",
                "文字".encode(),
                b"<script>",
                b"<!--",
                b"<table><tr>",
                b"<",
                b"&amp",
                b"<a href='",
            ]
        ),
        max_size=60,
    )
)
def test_any_markup_gives_clean_text_or_a_reason(parts):
    text, refused = text_or_reason(b"".join(parts))
    assert text or refused in ("undecodable", "too-complex", "empty-text", "unparsable")
    assert not ILLEGAL.search(text)
