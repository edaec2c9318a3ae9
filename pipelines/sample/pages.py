"""Files of a source distribution -> pages as a web server would have sent them.

HTML documentation goes out byte for byte. What a package carries as text only (a Markdown or reStructuredText manual,
a word-segmented corpus) is wrapped in plain HTML, and the response says so. Pages are read from the archive without
unpacking it to disk or running anything in it."""

import fnmatch
import html
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash
from markdown_it import MarkdownIt

from pipelines.sample.packages import Release, Site

MAX_PAGE = (
    80_000  # bytes of HTML; the few pages above it (whole API references, change logs) would be half of the crawl
)
ARTICLE = 700  # bytes; an article of the segmented corpus ends at the first headline after so many
_HEADLINE = 45  # characters; a longer line is a paragraph
_UNDERLINE = re.compile(r"^([=\-~^\"'*+#])\1{2,}\s*$")


@dataclass(frozen=True)
class Page:
    """A page of a site: its address, its bytes and where it comes from."""

    url: str
    body: bytes
    content_type: str
    release: Release
    license: str
    member: str  # the file in the archive
    wrapped: bool  # whether the HTML around the text was made here


def members(archive: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """The files of a source distribution that match, by their path below its top folder, sorted."""
    found: list[tuple[str, bytes]] = []
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as box:
            found = [
                (_inner(name), box.read(name)) for name in box.namelist() if fnmatch.fnmatchcase(_inner(name), pattern)
            ]
    else:
        with tarfile.open(archive) as tar:
            for item in tar:
                if item.isfile() and fnmatch.fnmatchcase(_inner(item.name), pattern):
                    file = tar.extractfile(item)
                    assert file is not None
                    found.append((_inner(item.name), file.read()))
    return iter(sorted(found))


def _inner(name: str) -> str:
    return name.split("/", 1)[-1]


def site_pages(site: Site, release: Release, archive: Path) -> list[Page]:
    """All pages of a site as a release has them, no larger than MAX_PAGE, by URL."""
    major, minor = (*release.version.split("."), "0")[:2]
    base = site.url.format(major=major, minor=minor)
    pages: list[Page] = []
    for member, body in members(archive, site.files):
        if site.form == "html":
            folder = site.files.split("*")[0]
            made = [(base + member.removeprefix(folder), body)]
        elif site.form == "tagged":
            made = [(f"{base}{number:05d}.html", page) for number, page in enumerate(_articles(body), 1)]
        else:
            text = body.decode("utf-8-sig")
            inner = MarkdownIt().enable("table").render(text) if site.form == "markdown" else _restructured(text)
            made = [(base, _wrap(f"{release.package} {release.version}", inner, "utf-8"))]
        wrapped = site.form != "html"
        for url, data in made:
            charset = "; charset=gb18030" if site.form == "tagged" and _is_gb(url) else ""
            if 0 < len(data) <= MAX_PAGE or wrapped:
                pages.append(Page(url, data, site.type + charset, release, site.license, member, wrapped))
    return sorted(pages, key=lambda page: page.url)


def _wrap(title: str, inner: str, charset: str) -> bytes:
    page = (
        f'<!DOCTYPE html>\n<html>\n<head>\n<meta charset="{charset}">\n<title>{html.escape(title)}</title>\n</head>\n'
        f"<body>\n<main><article>\n{inner}\n</article></main>\n</body>\n</html>\n"
    )
    return page.encode(charset)


def _is_gb(url: str) -> bool:
    """A third of the Chinese pages go out in GB18030, as much of the Chinese web long did."""
    return xxhash.xxh64_intdigest(url.rsplit("/", 1)[-1].encode()) % 3 == 0


def _articles(corpus: bytes) -> Iterator[bytes]:
    """A word-segmented, tagged corpus (`word/tag  word/tag`, a paragraph a line) as articles, each a page.

    A headline is a short line without an end of sentence; an article begins at the first one after ARTICLE bytes.
    """
    paragraphs: list[str] = []
    number = 1
    for line in corpus.decode("utf-8").splitlines():
        text = re.sub(r"/[A-Za-z]+(?:\s+|$)", "", line.strip())
        headline = len(text) <= _HEADLINE and not re.search("[。！？；：”）]$", text)
        if headline and sum(len(part.encode()) for part in paragraphs) >= ARTICLE:
            yield _article(paragraphs, f"{number:05d}.html")
            paragraphs, number = [], number + 1
        if text:
            paragraphs.append(text)
    if paragraphs:
        yield _article(paragraphs, f"{number:05d}.html")


def _article(paragraphs: list[str], name: str) -> bytes:
    inner = "\n".join(f"<p>{html.escape(part)}</p>" for part in paragraphs[1:])
    return _wrap(
        paragraphs[0], f"<h1>{html.escape(paragraphs[0])}</h1>\n{inner}", "gb18030" if _is_gb(name) else "utf-8"
    )


def _restructured(text: str) -> str:
    """Headings, paragraphs and indented blocks of reStructuredText; its inline marks stay as they are."""
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.strip("\n").splitlines() if line.strip() and line.strip() != "::"]
        if not lines or lines[0].startswith(".."):
            continue
        escaped = html.escape("\n".join(lines), quote=False)
        if len(lines) == 2 and _UNDERLINE.match(lines[1]):
            blocks.append(f"<h2>{html.escape(lines[0], quote=False)}</h2>")
        elif lines[0].startswith((" ", "\t")):
            blocks.append(f"<pre>{escaped}</pre>")
        else:
            blocks.append(f"<p>{escaped}</p>")
    return "\n".join(blocks)
