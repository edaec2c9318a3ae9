"""Archive files made for tests: real framing, small contents."""

import gzip

HTML = (
    "<html><head><title>{title}</title></head><body><article><h1>{title}</h1>"
    "<p>The river carried everything that the storm had broken, and the people on the bank watched it pass.</p>"
    "<p>{body}</p></article></body></html>"
)


def page(title: str = "A page", body: str = "In the evening the water fell and they went home.") -> bytes:
    """An HTML page with a main text."""
    return HTML.format(title=title, body=body).encode()


def http(body: bytes, headers: str = "Content-Type: text/html; charset=utf-8\r\n", status: str = "200 OK") -> bytes:
    """An HTTP response."""
    return f"HTTP/1.1 {status}\r\n{headers}\r\n".encode("latin1") + body


def record(
    content: bytes,
    kind: str = "response",
    uri: str = "https://www.example.org/page",
    date: str = "2023-05-28T12:34:56Z",
    length: int | str | None = None,
) -> bytes:
    """A WARC record, unpacked; `length` overrides what its header says."""
    media = {"response": "application/http; msgtype=response", "conversion": "text/plain"}.get(kind, "text/plain")
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\n"
        f"WARC-Date: {date}\r\nWARC-Target-URI: {uri}\r\nContent-Type: {media}\r\n"
        f"Content-Length: {len(content) if length is None else length}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n\r\n"


def member(data: bytes) -> bytes:
    """One gzip member, the same bytes every time."""
    return gzip.compress(data, 6, mtime=0)


def warc(*contents: bytes) -> bytes:
    """A .warc.gz of responses, one gzip member a record, with distinct addresses."""
    return b"".join(
        member(record(content, uri=f"https://www.example.org/{index}")) for index, content in enumerate(contents)
    )
