"""The sample crawl: pages of a small archive through to WARC files that the field's reader accepts."""

import gzip
import hashlib
import io
import json
import tarfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from corpus.errors import HeadwaterError
from pipelines.sample import build, fetch
from pipelines.sample.crawl import write_dump
from pipelines.sample.packages import Release, Site, load_plan
from pipelines.sample.pages import Page, site_pages

CHINESE = "本报讯/n  今日/t  举行/v  了/u  会议/n  。/w"


def archive(folder: Path, files: dict[str, bytes], name: str = "thing-1.2") -> Path:
    path = folder / f"{name}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member, data in files.items():
            item = tarfile.TarInfo(f"{name}/{member}")
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    return path


RELEASE = Release("thing", "1.2", date(2018, 9, 1), "0" * 64)


def test_plan_is_pinned_and_each_dump_has_something_to_see() -> None:
    plan = load_plan()
    assert len(plan.dumps) >= 6
    assert all(len(item.sha256) == 64 and int(item.sha256, 16) for item in plan.releases)
    assert {site.package for site in plan.sites} == {item.package for item in plan.releases}
    seen = [plan.current("SQLAlchemy", moment) for moment in plan.dumps.values()]
    assert None not in seen
    assert len({item.version for item in seen if item}) == len(plan.dumps)
    assert plan.current("SQLAlchemy", datetime(2000, 1, 1, tzinfo=UTC)) is None


def test_html_goes_out_byte_for_byte_and_versions_enter_the_url(tmp_path: Path) -> None:
    body = b"<html>\xe4\xb8\xad & <p>a</html>"
    path = archive(tmp_path, {"doc/a/b.html": body, "doc/huge.html": b"x" * 100_000, "src/c.html": b"no"})
    site = Site("thing", "MIT", "html", "doc/*.html", "https://docs.example.com/{major}{minor}/")
    (page,) = site_pages(site, RELEASE, path)
    assert page.url == "https://docs.example.com/12/a/b.html"
    assert page.body == body
    assert not page.wrapped


def test_text_is_wrapped_and_escaped(tmp_path: Path) -> None:
    path = archive(
        tmp_path,
        {"README.md": "# 标题\n\n正文 <script>x</script> `a<b`\n".encode(), "i.rst": b"A & B\n=====\n\n  <x>\n"},
    )
    (page,) = site_pages(Site("thing", "MIT", "markdown", "README.md", "https://e.example/"), RELEASE, path)
    assert "<h1>标题</h1>" in page.body.decode()
    assert b"a&lt;b" in page.body
    (page,) = site_pages(Site("thing", "MIT", "rst", "i.rst", "https://e.example/"), RELEASE, path)
    assert b"<h2>A &amp; B</h2>" in page.body
    assert b"&lt;x&gt;</pre>" in page.body


def test_segmented_corpus_becomes_articles_some_of_them_in_gb18030(tmp_path: Path) -> None:
    lines = []
    for number in range(40):
        lines += [f"标题/n  第{number}/m", *[CHINESE * 5] * 6]
    path = archive(tmp_path, {"c.txt": "\n".join(lines).encode()})
    pages = site_pages(Site("thing", "MIT", "tagged", "c.txt", "https://n.example/"), RELEASE, path)
    assert len(pages) == 40
    charsets = {page.content_type.partition("charset=")[2] or "utf-8" for page in pages}
    assert charsets == {"utf-8", "gb18030"}
    for number, page in enumerate(pages):
        text = page.body.decode("gb18030" if "gb18030" in page.content_type else "utf-8")
        assert f"<h1>标题第{number}</h1>" in text
        assert "本报讯今日举行了会议。" in text
        assert "/n" not in text


def test_dump_is_read_back_by_fastwarc_with_its_digests(tmp_path: Path) -> None:
    pages = [
        Page(f"https://e.example/{n}", f"<p>页 {n}</p>".encode(), "text/html", RELEASE, "MIT", "a", False)
        for n in range(5)
    ]
    start = datetime(2018, 10, 15, 6, tzinfo=UTC)
    files = write_dump(tmp_path / "a", "CC-MAIN-2018-43", start, pages)
    again = write_dump(tmp_path / "b", "CC-MAIN-2018-43", start, pages)
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]
    listed = gzip.decompress((tmp_path / "a/crawl-data/CC-MAIN-2018-43/warc.paths.gz").read_bytes()).decode().split()
    assert [tmp_path / "a" / line for line in listed] == files
    seen, ids = {}, set()
    for path in files:
        for record in ArchiveIterator(path.open("rb"), parse_http=False):
            assert record.verify_block_digest()
            ids.add(record.record_id)
        for record in ArchiveIterator(path.open("rb"), record_types=WarcRecordType.response):
            assert record.http_headers["X-Source"].startswith("a of the source distribution thing-1.2")
            seen[record.headers["WARC-Target-URI"]] = record.reader.read()
    assert seen == {page.url: page.body for page in pages}
    assert len(ids) == 2 * len(pages) + len(files)


def test_build_from_a_cache_needs_no_network_and_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    path = archive(
        cache, {f"doc/{n}.html": b"<p>" + str(n).encode() * 50 for n in range(60)} | {"lib/m.py": b"x = 1\n"}
    )
    release = Release("thing", "1.2", date(2012, 9, 1), hashlib.sha256(path.read_bytes()).hexdigest())
    sites = (
        Site("thing", "MIT", "html", "doc/*.html", "https://e.example/"),
        Site("thing", "MIT", "python", "lib/*.py", seen=100),
    )
    plan = load_plan().__class__(load_plan().dumps, sites, (release,))
    monkeypatch.setattr(build, "load_plan", lambda: plan)
    monkeypatch.setattr(fetch, "_download", lambda missing, folder: iter(()) if not missing else pytest.fail("network"))
    manifest = build.build_sample(tmp_path / "out", cache, say=lambda line: None)
    assert all(10 < dump["pages"] < 50 for dump in manifest["dumps"].values())
    (line,) = gzip.decompress((tmp_path / "out/code/python.jsonl.gz").read_bytes()).decode().splitlines()
    assert json.loads(line)["text"] == "x = 1\n"
    said: list[str] = []
    assert build.build_sample(tmp_path / "out", cache, said.append) == manifest
    assert "already there" in said[0]
    victim = tmp_path / "out" / next(iter(manifest["files"]))
    victim.write_bytes(b"")
    assert build.build_sample(tmp_path / "out", cache, said.append) == manifest
    assert hashlib.sha256(victim.read_bytes()).hexdigest() == next(iter(manifest["files"].values()))["sha256"]


def test_download_through_pip_checks_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's real finder on a local index: a right file is cached, a wrong one refused, a missing one named."""
    folder = tmp_path / "index" / "thing"
    folder.mkdir(parents=True)
    path = archive(folder, {"doc/a.html": b"a"})
    (folder / "index.html").write_text(f'<a href="{path.name}">{path.name}</a>')
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    right = Release("thing", "1.2", date(2012, 9, 1), hashlib.sha256(path.read_bytes()).hexdigest())
    got = fetch.fetch([right], tmp_path / "cache", say=lambda line: None)
    assert got["thing-1.2"].read_bytes() == path.read_bytes()
    with pytest.raises(HeadwaterError, match="not the pinned"):
        fetch.fetch([Release("thing", "1.2", date(2012, 9, 1), "1" * 64)], tmp_path / "other", say=lambda line: None)
    with pytest.raises(HeadwaterError, match="no source distribution"):
        fetch.fetch([Release("thing", "9", date(2012, 9, 1), "1" * 64)], tmp_path / "other", say=lambda line: None)
