"""HTTP responses as servers really send them."""

import gzip
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.crawl.http import dechunk, parse_response
from corpus.document import RejectedRecord
from tests.corpus.crawl.archives import http, page

LIMIT = 1 << 20
BODY = page(body="many words " * 200)


def body_of(headers: str, body: bytes, limit: int = LIMIT) -> bytes:
    return parse_response(http(body, headers), limit).body


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


def chunked(body: bytes, size: int = 100) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate),
        ("br", brotli.compress), ("deflate", gzip.compress), ("GZIP , br", lambda b: brotli.compress(gzip.compress(b))),
        ("identity", bytes), ("utf-8", bytes), ("gzip", bytes), ("br", bytes), ("deflate", bytes), ("made-up", bytes),
    ],
)  # fmt: skip
def test_content_codings_right_and_wrong(coding, pack):
    assert body_of(f"Content-Encoding: {coding}\r\n", pack(BODY)) == BODY


def test_zstd_coding():
    from backports import zstd

    assert body_of("Content-Encoding: zstd\r\n", zstd.compress(BODY)) == BODY


def test_chunked_and_gzip_together():
    headers = "Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n"
    assert body_of(headers, chunked(gzip.compress(BODY))) == BODY


def test_called_chunked_and_is_not():
    assert body_of("Transfer-Encoding: chunked\r\n", BODY) == BODY


@given(st.binary(max_size=300), st.integers(1, 50))
def test_chunks_are_joined(body, size):
    assert dechunk(chunked(body, size)) == body


def test_a_broken_chunk_keeps_what_precedes_it():
    cut = chunked(BODY)[:-60]
    assert BODY.startswith(dechunk(cut)[:-10])
    assert len(dechunk(cut)) > len(BODY) - 100


@pytest.mark.parametrize(
    ("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress)]
)
def test_a_cut_body_gives_what_could_be_unpacked(coding, pack):
    text = b" ".join(b"%d" % (number * 7919) for number in range(9000))
    found = body_of(f"Content-Encoding: {coding}\r\n", pack(text)[:-900])
    assert len(found) > 1000
    assert text.startswith(found)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_in_the_body_hits_the_limit(coding):
    from backports import zstd

    zeros = bytes(64 << 20)
    pack = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": lambda b: brotli.compress(b, quality=1),
        "zstd": zstd.compress,
    }
    with pytest.raises(RejectedRecord, match="too-large"):
        body_of(f"Content-Encoding: {coding}\r\n", pack[coding](zeros))


def test_what_is_neither_text_nor_in_its_coding_is_refused():
    with pytest.raises(RejectedRecord, match="bad-content-encoding"):
        body_of("Content-Encoding: gzip\r\n", b"\0\1\2\3" * 100)


@pytest.mark.parametrize(
    ("start", "status"),
    [(b"HTTP/1.1 200 OK", 200), (b"HTTP/1.1 HTTP/1.1 404 Not", 404), (b"HTTP/2 200", 200), (b"HTTP/1.0 301 ", 301)],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_status_lines(start, status, end):
    response = parse_response(start + end + b'Content-Type: Text/HTML;charset="GBK"' + end + end + b"x", LIMIT)
    assert response == (status, "text/html", "GBK", b"x")


@pytest.mark.parametrize(
    "content", [b"", b"HTTP/1.1 200 OK", b"HTTP/1.1\r\n\r\n", b"20080430\nwww.archive.org.\t\n\n", b"\0"]
)
def test_what_is_no_response_is_refused(content):
    with pytest.raises(RejectedRecord, match="not-http"):
        parse_response(content, LIMIT)


@given(st.binary(max_size=400))
def test_anything_is_parsed_or_refused(data):
    for content in (data, b"HTTP/1.1 200 OK\r\n" + data, http(data, "Content-Encoding: gzip, deflate, br\r\n")):
        try:
            parse_response(content, LIMIT)
        except RejectedRecord:
            continue
