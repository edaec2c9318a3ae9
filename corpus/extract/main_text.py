"""HTML to main text: what the page says, without menus, banners and footers.

The extractor is resiliparse's main-content extraction; docs/decisions/extractor.md has the comparison. Around it are
the things a crawl needs: is this a page at all, is it small and plain enough to be parsed in bounded time and memory
(corpus.extract.html_complexity), and is what comes out clean text. Text has one form everywhere in the pipeline: valid
UTF-8, lines ended by a single line feed, no control characters but tab and line feed, no byte order mark, no blanks at
its ends. Unicode is not normalised: a corpus keeps what authors wrote.
"""

import re
from importlib.metadata import version
from typing import NamedTuple

from resiliparse.extract.html2text import extract_plain_text

from corpus.crawl.charset import decode
from corpus.crawl.http import parse_response
from corpus.crawl.records import Record
from corpus.document import RejectedRecord
from corpus.extract.html_complexity import too_complex
from corpus.url import clean_uri

MAX_HTML = 5 << 20  # bytes: Common Crawl's own limit on a page (1 MiB until 2025, then 5 MiB)
EXTRACTOR = f"resiliparse-{version('resiliparse')}"

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"})
_UNSURE_TYPES = frozenset({"", "application/octet-stream", "unknown/unknown", "application/unknown", "text/xml",
                           "application/xml", "content/unknown", "binary/octet-stream"})  # fmt: skip
_MAGIC = (b"%PDF-", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"RIFF", b"\x1f\x8b", b"OggS", b"ID3", b"wOF")
_MARKUP = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|div|p|h1|table)\b", re.IGNORECASE)
_MARKUP_SCAN = 1024  # bytes searched for markup where no header says what a page is; WHATWG sniffs 1,445
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_SPECIAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


class Page(NamedTuple):
    """A page's text and where it came from."""

    url: str
    date: str  # as the record writes it
    charset: str | None
    text: str
    payload: bytes  # what the text was made from: the decoded HTTP body, or a WET record's block


def page_of(record: Record, max_html: int = MAX_HTML) -> Page:
    """The page in a response or WET conversion record.

    Raises RejectedRecord with one of the reasons `not-http`, `http-status`, `not-html`, `too-large`,
    `bad-content-encoding`, `undecodable`, `too-complex`, `empty-text`, `unparsable`, or the record's own problem
    (`truncated`, `corrupt`).
    """
    if record.problem:
        raise RejectedRecord(record.problem, record.detail)
    url = clean_uri(record.uri)
    if record.type == "conversion":
        if len(record.content) > max_html:
            raise RejectedRecord("too-large", f"{len(record.content)} bytes of text, the limit is {max_html}")
        text, charset = plain_text(record.content, "utf-8")
        return Page(url, record.date, charset, text, record.content)
    response = parse_response(record.content, max_html)
    if response.status != 200:
        raise RejectedRecord("http-status", str(response.status))
    kind = _kind(response.media_type, record.media_type, response.body)
    read = html_text if kind == "html" else plain_text
    text, charset = read(response.body, response.charset)
    return Page(url, record.date, charset, text, response.body)


def html_text(body: bytes, declared: str | None = None) -> tuple[str, str]:
    """The main text of an HTML page and the charset it was read with; `declared` is the HTTP header's charset.

    Raises RejectedRecord: `undecodable`, `too-complex`, `empty-text`, `unparsable`.
    """
    text, charset = decode(body, declared)
    if text is None:
        raise RejectedRecord("undecodable", f"not text in {charset}")
    if complaint := too_complex(body):
        raise RejectedRecord("too-complex", complaint)
    try:
        found = main_text(text)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise RejectedRecord("unparsable", f"{type(error).__name__}: {error}") from None
    return _not_empty(found), charset


def plain_text(body: bytes, declared: str | None = None) -> tuple[str, str]:
    """The clean text of a plain-text body and its charset. Raises RejectedRecord: `undecodable`, `empty-text`."""
    text, charset = decode(body, declared, html=False)
    if text is None:
        raise RejectedRecord("undecodable", f"not text in {charset}")
    return _not_empty(clean(text)), charset


def main_text(html: str) -> str:
    """The clean main text of decoded HTML; of a page in which no main content is found, all of its text."""
    return clean(extract_plain_text(html, main_content=True, comments=False)) or clean(extract_plain_text(html))


def clean(text: str) -> str:
    """Text in the pipeline's one form (see the top of this file)."""
    if _SPECIAL.search(text):
        text = _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))
    return text.strip()


def _not_empty(text: str) -> str:
    if not text:
        raise RejectedRecord("empty-text", "the page has no text")
    return text


def _kind(media_type: str, identified: str, body: bytes) -> str:
    """`html` or `text`, by the server's word, the crawler's, then the bytes; raise RejectedRecord for anything else."""
    if body.startswith(_MAGIC):
        raise RejectedRecord("not-html", f"{media_type or 'no type'}, but the body begins {body[:6]!r}")
    if media_type in _UNSURE_TYPES:
        media_type = identified.lower() or media_type
    if media_type in HTML_TYPES:
        return "html"
    if media_type == "text/plain":
        return "text"
    if media_type in _UNSURE_TYPES and _MARKUP.search(body, 0, _MARKUP_SCAN):
        return "html"
    raise RejectedRecord("not-html", media_type or "no type")
