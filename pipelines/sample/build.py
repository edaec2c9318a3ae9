"""Building the sample: a small crawl of eight dumps over ten years, and a plain source of Python code.

Each dump sees every site as the newest release before it had it, so most pages are seen again, unchanged or revised,
under the same address: what deduplication across dumps is about. No crawl sees every page; which ones is decided by a
hash, so the sample is the same everywhere."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xxhash

from corpus.io.storage import write_bytes, write_json
from pipelines.sample.crawl import write_dump
from pipelines.sample.fetch import default_cache, fetch
from pipelines.sample.packages import PACKAGES, Plan, load_plan
from pipelines.sample.pages import Page, members, site_pages

VERSION = 2  # raised when the same packages begin to give other bytes
MAX_SOURCE = 40_000  # bytes of a Python file
CODE_DUMPS = 2  # code is taken from the releases that the last dumps see
ARTICLES = 1200  # of the segmented corpus; the site grows dump by dump until it has them all


def build_sample(out: Path, cache: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Make the sample below `out`, unless it is already there and whole; return its manifest (`out/sample.json`).

    Downloads are kept in `cache` (None: `default_cache`).
    The manifest: dumps, pages, html_bytes, code_files, code_bytes, and the size and sha256 of every file.
    """
    plan = load_plan()
    if (made := _finished(out)) is not None:
        say(f"{out}: the sample is already there")
        return made
    archives = fetch(list(plan.releases), cache or default_cache(), say)
    manifest: dict[str, Any] = {"version": _version(), "dumps": {}, "files": {}}
    files = []
    for dump, start in plan.dumps.items():
        pages = dump_pages(plan, dump, archives)
        files += write_dump(out, dump, start, pages)
        files.append(out / f"crawl-data/{dump}/warc.paths.gz")
        size = sum(len(page.body) for page in pages)
        manifest["dumps"][dump] = {"pages": len(pages), "bytes": size}
        say(f"{dump}: {len(pages)} pages, {size / 1e6:.1f} MB")
    lines = code_lines(plan, archives)
    code = out / "code" / "python.jsonl.gz"
    write_bytes(str(code), gzip.compress("".join(lines).encode(), 6, mtime=0))
    files.append(code)
    manifest["code"] = {"files": len(lines), "bytes": sum(len(line.encode()) for line in lines)}
    say(f"code: {len(lines)} Python files, {manifest['code']['bytes'] / 1e6:.1f} MB")
    for path in files:
        manifest["files"][path.relative_to(out).as_posix()] = _entry(path)
    write_json(str(out / "sample.json"), manifest)
    return manifest


def dump_pages(plan: Plan, dump: str, archives: dict[str, Path]) -> list[Page]:
    """The pages that a dump sees, one of each address, in the order of a hash (as a crawl mixes its sites)."""
    names = list(plan.dumps)
    pages: dict[str, Page] = {}
    for site in plan.sites:
        release = plan.current(site.package, plan.dumps[dump])
        if site.form == "python" or release is None:
            continue
        found = site_pages(site, release, archives[release.name])
        if site.form == "tagged":
            found = found[: ARTICLES * (names.index(dump) + 1) // len(names)]
        for page in found:
            if _percentile(f"{dump} {page.url}") < site.seen:
                pages.setdefault(page.url, page)
    return sorted(pages.values(), key=lambda page: (xxhash.xxh64_intdigest(page.url.encode(), seed=1), page.url))


def code_lines(plan: Plan, archives: dict[str, Path]) -> list[str]:
    """JSONL of Python files: text, url, date and where each is from."""
    lines = []
    for site in plan.sites:
        if site.form != "python":
            continue
        seen = [plan.current(site.package, moment) for moment in list(plan.dumps.values())[-CODE_DUMPS:]]
        for release in dict.fromkeys(item for item in seen if item):
            for member, body in members(archives[release.name], site.files):
                if not 0 < len(body) <= MAX_SOURCE or _percentile(member) >= site.seen:
                    continue
                record = {
                    "id": f"{release.name}/{member}",
                    "text": body.decode("utf-8", "replace"),
                    "url": f"pkg:pypi/{release.package.lower()}@{release.version}#{member}",
                    "date": f"{release.released}T00:00:00Z",
                    "package": release.name,
                    "path": member,
                    "license": site.license,
                }
                lines.append(json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n")
    return lines


def _percentile(text: str) -> int:
    return xxhash.xxh64_intdigest(text.encode()) % 100


def _version() -> str:
    return f"{VERSION}-{hashlib.sha256(PACKAGES.read_bytes()).hexdigest()[:16]}"


def _entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _finished(out: Path) -> dict[str, Any] | None:
    try:
        manifest: dict[str, Any] = json.loads((out / "sample.json").read_text())
        whole = all(_entry(out / name) == entry for name, entry in manifest["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return manifest if whole and manifest.get("version") == _version() else None
