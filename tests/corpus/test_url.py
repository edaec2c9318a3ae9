"""Addresses, hosts and registered domains."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.url import canonical_url, clean_uri, host, registered_domain, site_of


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
