"""Archive files to records: WARC, Common Crawl's WET, and the ARC files that preceded them.

fastwarc reads what is well formed, at the speed of the disk. It is lenient in ways that lose records without a word. A
file cut inside a gzip member just ends. After a bad header nothing more is read. Positions inside joined members are
wrong. So wherever something is odd, and once at the end of each file, `corpus.crawl.warc_recovery` reads on from the
last good record, slower and with care. Every byte it can make no sense of is reported as damage with its offset.
"""

from collections.abc import Iterator
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord

from corpus.crawl.records import WANTED, Damage, Record
from corpus.crawl.warc_recovery import recover

MAX_RECORD = 64 << 20  # bytes of a record's content that are held; real crawlers cut pages at 1 to 5 MiB


def read_records(stream: BinaryIO, max_record: int = MAX_RECORD) -> Iterator[Record | Damage]:
    """Yield every record of an archive file in order, and the damage between them.

    `stream` is the file as stored (plain, gzip, LZ4 or zstd), seekable, at its start. Contents above `max_record`
    bytes are passed over (`problem` is `too-large`). Memory is bounded by `max_record`, whatever the file holds.
    """
    read: Record | None = None  # the last one, given once what follows shows that its checksum was right
    good = 0
    end = stream.seek(0, 2)
    stream.seek(0)
    try:
        for raw in ArchiveIterator(stream, parse_http=False):
            record = _plain_record(raw, max_record)
            if record is None or record.offset >= end or (read and record.offset <= read.offset):
                break
            if read:
                good += 1
                yield read
            read = record
        else:
            yield from recover(stream, read.offset if read else 0, 0, max_record)
            return
    except OSError:
        pass
    # A record that fastwarc placed wrongly can stand before the odd one: read all again, and pass over what was given.
    yield from recover(stream, 0, good, max_record)


def _plain_record(raw: WarcRecord, max_record: int) -> Record | None:
    """The record, or None where it is odd in any way that fastwarc smooths over."""
    headers, length = raw.headers, raw.content_length
    kind = headers.get("WARC-Type")
    if kind is None or length == 0:
        return None
    record = Record(kind.lower(), raw.stream_pos)
    record.describe(headers)
    if record.type in WANTED:
        if length > max_record:
            return None
        record.content = raw.reader.read(length)
        if len(record.content) < length:
            return None
    return record
