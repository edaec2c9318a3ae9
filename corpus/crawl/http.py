"""The HTTP response inside a WARC record: status, type and charset, and the body as the page's author wrote it.

Crawlers archive what servers send, and servers announce what they do not do: bodies called chunked that are not,
called gzip that are plain text, cut in the middle, or that unpack to a thousand times their size. So a coding is undone
only where the body has it, what can be unpacked of a cut body is kept, and unpacking stops at a limit.
"""

import re
import zlib
from io import BytesIO
from typing import NamedTuple

import brotli
from fastwarc.stream_io import ZstdReader
from fastwarc.warc import HeaderMap

from corpus.document import RejectedRecord
from corpus.io.decompress import Inflate

MAX_HEADER = 1 << 16  # bytes of an HTTP header block; servers stop at 8 to 64 KiB
_MAX_CODINGS = 4  # codings on top of one another
# The version may come twice (as some archives write what they proxied), and there may be no reason phrase.
_STATUS = re.compile(rb"(?:HTTP/[^\s]{0,8}[ \t]+){1,2}(\d{3})(?:[ \t][^\r\n]*)?(?:\r?\n)")
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\r\n]{0,1024})?\r?\n")


class Response(NamedTuple):
    """A parsed response; `media_type` is in lower case without parameters and empty where the server gave none."""

    status: int
    media_type: str
    charset: str | None
    body: bytes


def parse_response(content: bytes, max_body: int) -> Response:
    """Parse a response and undo its transfer and content codings.

    Raises RejectedRecord: `not-http`, `too-large` (the body passes `max_body` bytes), `bad-content-encoding`.
    """
    header_end, body_start = _header_end(content)
    status_line = _STATUS.match(content)
    if status_line is None or header_end < 0:
        raise RejectedRecord("not-http", repr(content[:40]))
    headers = HeaderMap(encoding="latin1")
    try:
        headers.parse(BytesIO(content[status_line.end() : header_end] + b"\r\n\r\n"), has_status_line=False)
    except OSError as error:
        raise RejectedRecord("not-http", str(error)) from None
    body = content[body_start:]
    if "chunked" in (headers.get("Transfer-Encoding") or "").lower():
        body = dechunk(body)
    names = [name.strip().lower() for name in (headers.get("Content-Encoding") or "").split(",")]
    codings = [name for name in reversed(names) if name not in ("", "identity", "none", "utf-8")]
    for coding in codings[:_MAX_CODINGS]:
        body = decode_content(body, coding, max_body)
    if len(body) > max_body:
        raise RejectedRecord("too-large", f"{len(body)} bytes of body, the limit is {max_body}")
    content_type = headers.get("Content-Type") or ""
    charset = _CHARSET.search(content_type)
    media_type = content_type.split(";")[0].split(",")[0].strip().lower()
    return Response(int(status_line.group(1)), media_type, charset.group(1) if charset else None, body)


def _header_end(content: bytes) -> tuple[int, int]:
    """Where the header block ends and the body begins; lines may end in CR LF or LF."""
    crlf = content.find(b"\r\n\r\n", 0, MAX_HEADER)
    lf = content.find(b"\n\n", 0, crlf if crlf >= 0 else MAX_HEADER)
    return (lf, lf + 2) if lf >= 0 else (crlf, crlf + 4)


def dechunk(body: bytes) -> bytes:
    """Undo HTTP chunks; a body that has none is returned as it is, and what follows a broken chunk is kept as it is."""
    parts, at = [], 0
    while at < len(body):
        head = _CHUNK.match(body, at)
        if head is None:
            if at == 0:
                return body
            parts.append(body[at:])
            break
        size = int(head.group(1), 16)
        if size == 0:
            break
        parts.append(body[head.end() : head.end() + size])
        at = head.end() + size
        if body[at : at + 2] == b"\r\n":
            at += 2
        elif body[at : at + 1] == b"\n":
            at += 1
    return b"".join(parts)


def decode_content(body: bytes, coding: str, limit: int) -> bytes:
    """Undo one content coding, giving at most `limit` bytes. A body that does not have the coding is returned as it
    is, and of a cut or broken one what could be unpacked.

    Raises RejectedRecord: `too-large`, `bad-content-encoding`.
    """
    if coding in ("gzip", "x-gzip", "deflate"):
        unpacked = _inflate(body, coding, limit)
    elif coding == "br":
        unpacked = _brotli(body, limit)
    elif coding == "zstd" and body.startswith(b"\x28\xb5\x2f\xfd"):
        unpacked = _zstd(body, limit)
    elif coding == "zstd" or _is_text(body):
        return body
    else:
        raise RejectedRecord("bad-content-encoding", f"{coding[:40]} is not known")
    if len(unpacked) > limit:
        raise RejectedRecord("too-large", f"{coding}: {len(body)} bytes unpack to more than {limit}")
    if not unpacked and body:
        if _is_text(body):
            return body
        raise RejectedRecord("bad-content-encoding", f"the body is not {coding}")
    return unpacked


def _inflate(body: bytes, coding: str, limit: int) -> bytes:
    if body.startswith(b"\x1f\x8b"):
        modes = [31]
    elif coding == "deflate":
        modes = [15, -15]  # with zlib's header, as the standard says; without, as many servers send it
    else:
        modes = []
    for mode in modes:
        try:
            return Inflate(mode).decompress(body, limit + 1)
        except zlib.error:
            pass
    return b""


def _brotli(body: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    try:
        return decoder.process(body, output_buffer_limit=limit + 1)
    except brotli.error:
        return b""


def _zstd(body: bytes, limit: int) -> bytes:
    parts, size = [], 0
    reader = ZstdReader(BytesIO(body))
    try:
        while size <= limit and (part := reader.read(1 << 16)):
            parts.append(part)
            size += len(part)
    except OSError:
        pass
    return b"".join(parts)


def _is_text(body: bytes) -> bool:
    """Whether a body looks like markup or text as it stands."""
    head = body[:1024]
    return bool(head) and b"\0" not in head and sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head) < 8
