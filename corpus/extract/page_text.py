"""One page's main text, for who has pages and no WARC files."""

from typing import NamedTuple

from corpus.document import RejectedRecord
from corpus.extract.main_text import MAX_HTML, html_text
from corpus.url import canonical_url, site_of


class PageText(NamedTuple):
    """The clean main text of a page and where it lives."""

    text: str
    charset: str  # that the bytes were read with
    url: str | None  # in its canonical spelling
    site: str | None  # the registered domain


def extract_text(html: bytes | str, url: str | None = None, charset: str | None = None) -> PageText:
    """What an HTML page says, without menus, banners and footers.

    `charset` is what the server said, if it did; without it, bytes are read as the page itself says, or as they look.
    Raises `corpus.RejectedRecord` with a reason: `too-large` (5 MiB), `undecodable`, `too-complex`, `unparsable`,
    `empty-text`.

    >>> page = "<html><body><nav><a href='/'>Home</a></nav><main><p>春天来了，花都开了。</p></main></body></html>"
    >>> extract_text(page, url="HTTP://www.Example.co.uk:80/spring#top")
    PageText(text='春天来了，花都开了。', charset='utf-8', url='http://www.example.co.uk/spring', site='example.co.uk')
    """
    body, charset = (html.encode("utf-8", "replace"), "utf-8") if isinstance(html, str) else (html, charset)
    if len(body) > MAX_HTML:
        raise RejectedRecord("too-large", f"{len(body)} bytes of HTML, the limit is {MAX_HTML}")
    text, read_as = html_text(body, charset)
    return PageText(text, read_as, canonical_url(url) if url else None, site_of(url) if url else None)
