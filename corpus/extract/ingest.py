"""From a file of any kind to documents, rejects and counts: the loop that `extract` runs over every shard.

Documents keep the order of their records. Texts are gathered until a row group's worth is there, their languages are
identified in one call, and the group is written. So memory holds one group whatever the file's size. The counts
account for everything: what was offered (`responses`: HTTP responses of a WARC, conversions of a WET, rows of a plain
source) is documents + the sum of `rejects`. Parts of a file that are no record at all are `damage`, beside them.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import pyarrow as pa

from corpus.crawl.records import Damage, Record
from corpus.crawl.warc import MAX_RECORD, read_records
from corpus.document import REJECTS, SCHEMA, RejectedRecord, document_id
from corpus.extract.main_text import MAX_HTML, Page, clean, page_of
from corpus.io import storage
from corpus.io.line_blocks import MAX_LINE
from corpus.io.plain_files import Batch, read_batches
from corpus.language import LanguageIdentifier
from corpus.url import clean_uri, site_of

GROUP_BYTES = 32 << 20  # UTF-8 bytes of text in a row group
GROUP_ROWS = 1 << 16  # and rows, where texts are short
REJECT_ROWS = 1 << 14
_IN_MEMORY = 64 << 20  # bytes of a remote file that are copied to memory instead of a disk
_REMOTE_READ = 8 << 20

Write = Callable[[pa.RecordBatch], None]


@dataclass
class Limits:
    """What is taken in; docs/decisions/input-limits.md says why."""

    html: int = MAX_HTML  # bytes of a page after HTTP's codings are undone, and of a WET text
    record: int = MAX_RECORD  # bytes of an archive record
    text: int = MAX_LINE  # UTF-8 bytes of a plain source's document


@dataclass
class _Group:
    rows: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in SCHEMA.names})
    texts: list[str] = field(default_factory=list)
    bytes: int = 0


class Collector:
    """Gathers one file's documents and rejects and hands them on in batches."""

    def __init__(
        self,
        dump: str,
        file: str,
        identifier: LanguageIdentifier,
        documents: Write,
        rejects: Write,
        language: str | None = None,
    ) -> None:
        self.dump = dump
        self.file = file  # the name in the tables
        self._identifier = identifier
        self._write_documents = documents
        self._write_rejects = rejects
        self._language = language  # of every document, instead of identifying it
        self._group = _Group()
        self._rejects: list[dict[str, Any]] = []
        self._offered = 0
        self._documents = 0
        self._bytes = 0
        self._payload = 0
        self._records: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._damage: Counter[str] = Counter()
        self._languages: dict[str, Counter[str]] = {}

    def archive(self, stream: BinaryIO, limits: Limits) -> None:
        """Take in every record of a WARC, WET or ARC file, open at its start."""
        for item in read_records(stream, limits.record):
            if isinstance(item, Damage):
                self._damage[item.reason] += 1
                self._reject(item.offset, None, item.reason, item.detail)
                continue
            self._records[item.type or "unknown"] += 1
            if item.type in ("response", "conversion"):
                self._offered += 1
                self._record(item, limits)

    def batch(self, batch: Batch, limits: Limits) -> None:
        """Take in some rows of a plain source (`corpus.io.plain_files.read_batches`)."""
        offered = len(batch.rows) + len(batch.bad)
        self._records["row"] += offered
        self._offered += offered
        for bad in batch.bad:
            self._reasons[bad.reason] += 1
            self._reject(bad.offset, None, bad.reason, bad.detail)
        columns = {name: batch.rows[name].to_pylist() for name in ("offset", "text")}
        for name in ("id", "url", "date", "language"):
            present = name in batch.rows.column_names
            columns[name] = batch.rows[name].to_pylist() if present else [None] * len(batch.rows)
        for offset, payload, key, url, date, language in zip(*columns.values(), strict=True):
            text, uri = clean(payload.decode("utf-8", "surrogatepass")), clean_uri(url) if url else None
            size = len(text.encode())
            if not text or size > limits.text:
                reason = "too-large" if text else "empty-text"
                self._reasons[reason] += 1
                self._reject(offset, uri, reason, f"{size} bytes of text")
                continue
            page = Page(uri or "", date or "", None, text, payload)
            name = key or url or f"{self.file}#{offset}"
            self._add(offset, document_id(self.dump, name, page.date, payload), page, language)

    def finish(self) -> dict[str, Any]:
        """Hand on what is left and return the counts."""
        self._flush_documents()
        self._flush_rejects()
        return {
            "documents": self._documents,
            "bytes": self._bytes,
            "html_bytes": self._payload,
            "responses": self._offered,
            "records": dict(self._records),
            "rejects": dict(self._reasons),
            "damage": dict(self._damage),
            "languages": {name: dict(counts) for name, counts in self._languages.items()},
        }

    def _record(self, record: Record, limits: Limits) -> None:
        try:
            page = page_of(record, limits.html)
        except RejectedRecord as rejected:
            self._reasons[rejected.reason] += 1
            self._reject(record.offset, clean_uri(record.uri) or None, rejected.reason, rejected.detail)
        else:
            key = document_id(self.dump, page.url, page.date, page.payload)
            self._add(record.offset, key, page, None)

    def _add(self, offset: int, key: str, page: Page, language: str | None) -> None:
        group = self._group
        data = page.text.encode("utf-8", "replace")
        values = {
            "id": key,
            "url": page.url or None,
            "site": site_of(page.url) if page.url else None,
            "date": parse_date(page.date),
            "language": language or self._language,
            "charset": page.charset,
            "file": self.file,
            "offset": offset,
            "length": len(data),
            "text": data,
        }
        for name, value in values.items():
            group.rows[name].append(value)
        group.texts.append(page.text)
        group.bytes += len(data)
        self._payload += len(page.payload)
        if group.bytes >= GROUP_BYTES or len(group.texts) >= GROUP_ROWS:
            self._flush_documents()

    def _flush_documents(self) -> None:
        group, self._group = self._group, _Group()
        if not group.texts:
            return
        found = self._identifier.identify(group.texts)
        given = group.rows["language"]
        named = [said or known for said, known in zip(given, found.language, strict=True)]
        score = [1.0 if said else known for said, known in zip(given, found.score.tolist(), strict=True)]
        columns = group.rows | {
            "language": named,
            "language_score": score,
            "lid_en": found.english,
            "lid_zh": found.chinese,
        }
        arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA if field.name != "text"]
        arrays.append(pa.array(group.rows["text"], pa.large_binary()).cast(pa.large_string()))
        self._write_documents(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
        self._documents += len(named)
        self._bytes += group.bytes
        for name, size in zip(named, group.rows["length"], strict=True):
            counts = self._languages.setdefault(name, Counter())
            counts["documents"] += 1
            counts["bytes"] += size

    def _reject(self, offset: int, url: str | None, reason: str, detail: str) -> None:
        self._rejects.append(
            {"file": self.file, "offset": offset, "url": url, "reason": reason, "detail": _valid(detail[:500])}
        )
        if len(self._rejects) >= REJECT_ROWS:
            self._flush_rejects()

    def _flush_rejects(self) -> None:
        if self._rejects:
            self._write_rejects(pa.RecordBatch.from_pylist(self._rejects, REJECTS))
            self._rejects = []


def collect_archive(path: str, collector: Collector, limits: Limits) -> dict[str, Any]:
    """Take in an archive file wherever it is and return the counts; raises OSError where it cannot be opened."""
    with open_archive(path) as stream:
        collector.archive(stream, limits)
    return collector.finish()


def collect_source(path: str, columns: Mapping[str, str], collector: Collector, limits: Limits) -> dict[str, Any]:
    """Take in a plain source's file and return the counts; raises OSError where it cannot be opened."""
    for batch in read_batches(path, columns):
        collector.batch(batch, limits)
    return collector.finish()


@contextmanager
def open_archive(path: str) -> Iterator[BinaryIO]:
    """Open an archive file for `read_records`. A remote one is copied to a temporary file first, in one sequential
    read, because its reader goes back a little and servers need not allow that."""
    with storage.open_input(path) as stream:
        if storage.scheme(path) == "file":
            yield stream
            return
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            shutil.copyfileobj(stream, copy, _REMOTE_READ)
            copy.seek(0)
            yield cast(BinaryIO, copy)


def parse_date(text: str) -> datetime | None:
    """A record's date in UTC to the second, or None where it is none."""
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    try:
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        return None


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
