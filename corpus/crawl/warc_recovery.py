"""The careful reader of archive files: everything readable in a damaged file, and an account of the rest.

It frames records itself: finds a header block, takes its length, and insists that another record, or the end, follows.
Where that fails it reports damage at that offset and goes on at the next line that begins a record. It accepts what
real files hold though the standard forbids it: lines that end in LF alone, several records in a gzip member, ARC.
"""

import re
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from fastwarc.warc import HeaderMap

from corpus.crawl.containers import Member, members
from corpus.crawl.records import WANTED, Damage, Record

MAX_HEADER = 1 << 16  # bytes of a WARC header block; fastwarc stops at 32 KiB
MAX_PASSED = 1 << 30  # unpacked bytes without the beginning of a record; past it the rest of a gzip member is given up
_ARC = re.compile(rb"([^\r\n]{1,4096}) (\S+) (\d{8,14}) (\S+) (\d{1,18})\r?\n")
_NEXT_ARC = re.compile(rb"\nhttps?://[^\s]{1,2048} \d+\.\d+\.\d+\.\d+ \d{14} \S+ \d+\r?\n")
_OVERLAP = 4096  # bytes kept while searching, so that a record's first line is not cut
_BLANK_LIMIT = 1 << 16  # line ends between records that are passed over without a word


def recover(stream: BinaryIO, start: int, skip: int, max_record: int) -> Iterator[Record | Damage]:
    """Yield the records and damage from `start`, without the first `skip` records, which the caller has."""
    nothing = True
    left = skip
    reader = _Reader(members(stream, start))
    while reader.open_next():
        for item in _items(reader, max_record):
            nothing = False
            if isinstance(item, Record) and left:
                left -= 1
                if item.problem:  # the caller's reader got more out of it; what is wrong here must be told all the same
                    yield Damage(item.offset, item.problem, item.detail)
            else:
                yield item
    if nothing and start == 0:
        yield Damage(0, "empty-file", "the file holds nothing")


def _items(reader: "_Reader", max_record: int) -> Iterator[Record | Damage]:
    """The records of a member (and of those over which its last record goes on), and the damage in and before it."""
    if skipped := reader.member.skipped:
        yield Damage(reader.member.offset - skipped, "corrupt", f"{skipped} bytes that are no compressed block")
    whole = 0
    held: Record | None = None  # the last whole one, given once what follows shows that the damage is not in it
    while reader.skip_blank():
        offset = reader.offset
        head = reader.header()
        if head is None:
            if reader.member.problem:
                break
            first, passed = bytes(reader.buffer[:40]), reader.resync()
            if held and not reader.corrupt:
                yield held
                held = None
            if not reader.member.problem or passed > len(first):
                yield Damage(offset, "bad-record", f"{passed} bytes that are no record, from {first!r}")
            continue
        if held:
            yield held
        held = None
        record, length = head
        record.offset, reader.last_record = offset, reader.consumed
        if length is None:
            yield Damage(offset, "bad-header", f"a {record.type or 'nameless'} record without a valid Content-Length")
            reader.resync()
            continue
        if record.type in WANTED and length <= max_record:
            record.content = reader.take(length)
            complete = len(record.content) == length
        else:
            complete = reader.drop(length) == length
            if record.type in WANTED:
                record.problem, record.detail = "too-large", f"{length} bytes of record, the limit is {max_record}"
        if not complete:
            record.content = b""
            problem = "too-large" if reader.exhausted else reader.member.problem or "truncated"
            if record.type in WANTED and not record.problem:
                record.problem = problem
                record.detail = f"the file ends or breaks inside this record of {length} bytes"
                yield record
            else:
                yield record
                yield Damage(offset, problem, f"inside a {record.type} record of {length} bytes")
            return
        whole += 1
        held = record
    if held and held.content and reader.corrupt:
        held.content, held.problem, held.detail = (
            b"",
            "corrupt",
            "the compressed block that holds this record is damaged",
        )
        yield held
        return
    if held:
        yield held
    if reader.exhausted:
        yield Damage(
            reader.member.offset, "too-large", f"{MAX_PASSED} bytes without the beginning of a record; went on behind"
        )
    elif reader.member.problem:
        detail = f"of the compressed block here {whole} whole record(s) were read"
        yield Damage(reader.member.offset, reader.member.problem, detail)


class _Reader:
    """The unpacked bytes of one member after another, with a buffer in front."""

    def __init__(self, found: Iterator[Member]) -> None:
        self._members = found
        self._next: Member | None = None  # opened to see how it begins
        self.buffer = bytearray()

    def open_next(self) -> bool:
        """Go to the next member; False after the last. The current one must be used up."""
        first = self._peek()
        if self._next is None:
            return False
        self.member, self._next = self._next, None
        self.buffer = first
        self.consumed = 0  # bytes of the member that have left the buffer
        self.last_record = 0  # where in the member the last record began
        self.exhausted = False
        return True

    def _peek(self) -> bytearray:
        """The first bytes of the next member, which is then `_next`."""
        if self._next is None:
            self._next = next(self._members, None)
            self._first = bytearray(self._next.more() if self._next else b"")
        return self._first

    @property
    def corrupt(self) -> bool:
        """Whether the member has broken off with an error."""
        return self.member.problem == "corrupt"

    @property
    def offset(self) -> int:
        """Where the buffer begins: exact in a plain file, else where its member or frame begins."""
        return self.member.offset + (self.consumed if self.member.sequential else 0)

    def fill(self, wanted: int, inside: bool = False) -> bool:
        """Have `wanted` bytes in the buffer; False where the member has fewer. `inside` a record they may come from
        the next member, where that does not begin with a record of its own."""
        while len(self.buffer) < wanted:
            piece = b"" if self.exhausted else self.member.more()
            if not piece and inside and not self.exhausted and self._goes_on():
                continue
            if not piece:
                return False
            self.buffer += piece
            if not self.member.sequential and self.consumed - self.last_record > MAX_PASSED:
                self.exhausted = True
                self.member.leave()
        return True

    def _goes_on(self) -> bool:
        if self.member.problem or self.member.sequential:
            return False
        first = self._peek()
        if self._next is None or self._next.skipped or first.startswith(b"WARC/"):
            return False
        self.member, self._next = self._next, None
        self.buffer += first
        return True

    def forget(self, count: int) -> None:
        del self.buffer[:count]
        self.consumed += count

    def take(self, count: int) -> bytes:
        """Up to `count` bytes, as many as there are."""
        self.fill(count, inside=True)
        data = bytes(self.buffer[:count])
        self.forget(len(data))
        return data

    def drop(self, count: int) -> int:
        """Pass over up to `count` bytes; how many there were."""
        left = count
        while left and self.fill(1, inside=True):
            step = min(left, len(self.buffer))
            self.forget(step)
            left -= step
        return count - left

    def skip_blank(self) -> bool:
        """Pass over line ends between records; False at the end of the member."""
        passed = 0
        while self.fill(1) and passed <= _BLANK_LIMIT:
            step = len(self.buffer) - len(self.buffer.lstrip(b"\r\n"))
            self.forget(step)
            passed += step
            if self.buffer:
                return True
        return bool(self.buffer)

    def header(self) -> tuple[Record, int | None] | None:
        """Take a header block off; None where there is none. The length is None where the header gives no valid one."""
        self.fill(5)
        if not self.buffer.startswith(b"WARC/"):
            return self._arc_header()
        size = 0
        while (found := _BLOCK_END.search(self.buffer, max(0, size - 4))) is None:
            size = len(self.buffer)
            if size > MAX_HEADER or not self.fill(size + 1, inside=True):
                return None
        block = bytes(self.buffer[: found.start()])
        headers = HeaderMap()
        try:
            headers.parse(BytesIO(block.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n\r\n"))
        except OSError:
            return None
        self.forget(found.end())
        record = Record((headers.get("WARC-Type") or "").lower(), 0)
        record.describe(headers)
        length = (headers.get("Content-Length") or "").strip()
        valid = length.isascii() and length.isdigit() and len(length) <= 18 and record.type
        return record, int(length) if valid else None

    def _arc_header(self) -> tuple[Record, int | None] | None:
        self.fill(_OVERLAP * 2)
        found = _ARC.match(self.buffer)
        if found is None:
            return None
        uri, _, stamp, media_type, length = (part.decode("utf-8", "replace") for part in found.groups())
        self.forget(found.end())
        kind = "warcinfo" if uri.startswith("filedesc:") else "response"
        date = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[8:10]}:{stamp[10:12]}:{stamp[12:14]}Z"
        return Record(kind, 0, uri, date if len(stamp) == 14 else "", media_type), int(length)

    def resync(self) -> int:
        """Pass over bytes up to the next line that begins a record, or the end of the member; how many."""
        start = self.consumed
        while True:
            starts = [self.buffer.find(b"\nWARC/"), -1]
            if self.buffer.find(b"\nhttp") >= 0 and (arc := _NEXT_ARC.search(self.buffer)):
                starts[1] = arc.start()
            if found := [start for start in starts if start >= 0]:
                self.forget(min(found) + 1)
                break
            self.forget(max(0, len(self.buffer) - _OVERLAP))
            if not self.fill(len(self.buffer) + 1):
                self.forget(len(self.buffer))
                break
        return self.consumed - start


_BLOCK_END = re.compile(rb"\r?\n\r?\n")
