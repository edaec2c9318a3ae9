"""Addresses, hosts and registered domains."""

import socket

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.url import (
    canonical_url,
    clean_uri,
    host,
    raw_url_keys,
    registered_domain,
    site_of,
    url_key,
    url_keys,
    url_spellings,
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://WWW.Example.ORG:80/a/%7Eb?q=%c3%a9#top", "http://www.example.org/a/~b?q=%C3%A9"),
        ("https://example.org", "https://example.org/"),
        ("https://user:secret@example.org:8443/x", "https://example.org:8443/x"),
        ("https://example.org./x", "https://example.org/x"),
        ("http://[2001:DB8::1]/", "http://[2001:db8::1]/"),
        ("https://例子.测试/路径", "https://例子.测试/路径"),
        ("not an address", "not an address"),
        ("http://example.org:port/", "http://example.org:port/"),
        ("http://[broken/", "http://[broken/"),
    ],
)
def test_canonical_url(url, expected):
    assert canonical_url(url) == expected


@given(st.text(max_size=60))
def test_canonical_url_never_raises_and_settles(text):
    for url in (text, "http://" + text, "http://example.org/" + text):
        assert canonical_url(canonical_url(url)) == canonical_url(url)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://WWW.Example.com:443/A/#top", "example.com/A"),
        ("http://user:secret@example.com./%7Ea//?Q=%c3", "example.com/~a?Q=%C3"),
        ("http://example.com:8080", "example.com:8080"),
        ("Example.com/A/", "example.com/A"),
        ("http://example.com/?q", "example.com?q"),
        ("http://[broken/", "[broken"),
        ("", ""),
    ],
)
def test_url_key(url, key):
    assert url_key(url) == key
    assert url_keys(pa.array([None, url])).to_pylist() == [None, key]


def test_raw_keys_leave_escapes_and_credentials():
    urls = pa.array(["https://WWW.Example.com:443/A/#top", "http://me@example.com/%7e?x=1", None])
    assert raw_url_keys(urls).to_pylist() == ["example.com/A", "me@example.com/%7e?x=1", None]


@given(st.text("ab/%7e?#:@.[w", max_size=20))
def test_of_a_canonical_address_both_keys_are_one(text):
    url = canonical_url(f"http://e.org/{text}")
    assert raw_url_keys(pa.array([url])).to_pylist() == [url_key(url)]


@given(st.text("ab/%7e?:.w", max_size=12), st.sampled_from(["http", "https"]), st.sampled_from(["", "www."]))
def test_spellings_have_one_key_and_hold_the_usual_ones(text, scheme, www):
    url = f"http://e.org/{text}"
    spellings = url_spellings(url)
    assert {url, canonical_url(url), f"{scheme}://{www}{url_key(url)}"} <= set(spellings)
    assert {url_key(spelling) for spelling in spellings} == {url_key(url)}


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://a.b.example.co.uk/x", "example.co.uk"),
        ("https://kafka.apache.org/21/protocol.html", "apache.org"),
        ("https://someone.github.io/blog", "someone.github.io"),
        ("https://www.people.com.cn/", "people.com.cn"),
        ("http://192.0.2.7/", "192.0.2.7"),
        ("http://localhost/", "localhost"),
        ("dns:example.org", None),
        ("", None),
    ],
)
def test_site(url, site):
    assert site_of(url) == site


def test_sites_need_no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a network connection")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert registered_domain("never-seen-before-in-a-test.bbc.co.uk") == "bbc.co.uk"


def test_target_uris_are_cleaned():
    assert clean_uri(" <http://example.com/> ") == "http://example.com/"
    assert clean_uri("file:///a b\n.png") == "file:///a%20b%0A.png"
    assert clean_uri("http://example.com/\udcff") == "http://example.com/?"
    assert host("http://EXAMPLE.com/") == "example.com"
