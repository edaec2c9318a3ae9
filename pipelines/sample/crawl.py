"""Pages -> WARC files in Common Crawl's layout: `crawl-data/<dump>/segments/<segment>/warc/*.warc.gz` and the list of
them in `warc.paths.gz`.

WARC/1.0 as Common Crawl writes it: a gzip member per record, a warcinfo record first, then for each page a response and
a metadata record. Dates count up from the first moment of the crawl and record ids are hashes, so the bytes depend on
the pages only. Every response says in its headers which file of which package it is."""

import base64
import gzip
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from email.utils import format_datetime
from pathlib import Path

from corpus.io.storage import write_bytes
from pipelines.sample.pages import Page

SEGMENTS = 2  # WARC files of a dump, one in each of its segments
PACE = 11  # seconds of crawl time between two pages


def write_dump(root: Path, dump: str, start: datetime, pages: Sequence[Page]) -> list[Path]:
    """Write one dump below `root` and return its WARC files; `pages` go to its segments in turn."""
    files = []
    for segment in range(SEGMENTS):
        begin = start + timedelta(days=segment)
        share = pages[segment::SEGMENTS]
        end = begin + timedelta(seconds=PACE * max(1, len(share)))
        name = f"CC-MAIN-{begin:%Y%m%d%H%M%S}-{end:%Y%m%d%H%M%S}-{segment:05d}.warc.gz"
        path = root / f"crawl-data/{dump}/segments/{int(begin.timestamp())}{segment:03d}.{10 + segment}/warc/{name}"
        write_bytes(str(path), b"".join(_records(name, dump, begin, share)))
        files.append(path)
    listing = "".join(f"{path.relative_to(root).as_posix()}\n" for path in files)
    write_bytes(str(root / f"crawl-data/{dump}/warc.paths.gz"), gzip.compress(listing.encode(), 9, mtime=0))
    return files


def _records(name: str, dump: str, begin: datetime, pages: Iterable[Page]) -> Iterable[bytes]:
    info = (
        f"isPartOf: {dump}\r\npublisher: Headwater's sample, made from released packages; not a crawl of the web\r\n"
        "format: WARC File Format 1.0\r\n"
    ).encode()
    yield _record("warcinfo", begin, info, {"WARC-Filename": name, "Content-Type": "application/warc-fields"})
    for number, page in enumerate(pages):
        when = begin + timedelta(seconds=PACE * number)
        block = _response(page, when)
        response = {"WARC-Target-URI": page.url, "WARC-IP-Address": "192.0.2.1"}  # an address reserved for examples
        response["WARC-Payload-Digest"] = f"sha1:{_sha1(page.body)}"
        response["Content-Type"] = "application/http; msgtype=response"
        yield _record("response", when, block, response)
        source = f"fetchTimeMs: {20 + len(page.body) // 1000}\r\nsource-package: {page.release.name}\r\n"
        source += f"source-file: {page.member}\r\nsource-license: {page.license}\r\n"
        more = {"WARC-Target-URI": page.url, "Content-Type": "application/warc-fields"}
        yield _record("metadata", when, source.encode(), more)


def _response(page: Page, when: datetime) -> bytes:
    modified = datetime.combine(page.release.released, time(0), UTC)
    headers = [
        "HTTP/1.1 200 OK",
        f"Date: {_http_date(when)}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        f"Last-Modified: {_http_date(modified)}",
        f"X-Source: {page.member} of the source distribution {page.release.name}, sha256 {page.release.sha256}",
        f"X-Source-License: {page.license}",
        f"X-Source-Form: {'text, wrapped in HTML' if page.wrapped else 'as released'}",
    ]
    return ("\r\n".join(headers) + "\r\n\r\n").encode() + page.body


def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def _sha1(data: bytes) -> str:
    return base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def _record(kind: str, when: datetime, block: bytes, headers: dict[str, str]) -> bytes:
    """One WARC record as a gzip member of its own."""
    key = hashlib.md5(f"{kind} {when.isoformat()} {headers}".encode() + block, usedforsecurity=False).hexdigest()
    uuid = f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"
    lines = {
        "WARC-Type": kind,
        "WARC-Date": f"{when:%Y-%m-%dT%H:%M:%SZ}",
        "WARC-Record-ID": f"<urn:uuid:{uuid}>",
        "Content-Length": str(len(block)),
        "WARC-Block-Digest": f"sha1:{_sha1(block)}",
        **headers,
    }
    head = "WARC/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(head.encode() + block + b"\r\n\r\n") + packer.flush()
