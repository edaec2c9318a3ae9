"""What a document is: one row of the document table, and what a reject is.

A document's id is a 128-bit key of its record's content (dump, URI, date, payload). So the same record has the same id
in every run, on every machine, whatever file or position it is read from. Rejects are rows too: everything that was
offered and did not become a document is kept with its reason and its place, so that the two tables account for every
record of an input.
"""

import pyarrow as pa
import xxhash

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # 32 hexadecimal digits
        pa.field("url", pa.string()),
        pa.field("site", pa.string()),  # the registered domain (corpus.url)
        pa.field(
            "date", pa.timestamp("ms", tz="UTC")
        ),  # when it was captured, to the second (Parquet knows no coarser unit)
        pa.field("language", pa.string(), nullable=False),  # the most probable one; `und` where there are no letters
        pa.field("language_score", pa.float32(), nullable=False),
        pa.field("lid_en", pa.float32(), nullable=False),
        pa.field("lid_zh", pa.float32(), nullable=False),
        pa.field("charset", pa.string()),  # the one the payload was decoded with
        pa.field("file", pa.string(), nullable=False),  # the input file
        pa.field("offset", pa.int64(), nullable=False),  # of the record in it, bytes (the row, in a Parquet source)
        pa.field("length", pa.int64(), nullable=False),  # UTF-8 bytes of text
        pa.field("text", pa.large_string(), nullable=False),
    ]
)

REJECTS = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)


class RejectedRecord(Exception):
    """Something that was offered as a document and is not one: `reason` is what counts are kept by, `detail` what a
    person wants to know about this one."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def document_id(dump: str, uri: str, date: str, payload: bytes) -> str:
    """The 32 hexadecimal digits that name a record's document, the same wherever and whenever it is computed.

    `date` is written as the record writes it. xxh3 with 128 bits: at 10^11 documents the chance of any collision
    is below 10^-16. Fields are separated by their lengths, so that no two different records are the same bytes.
    """
    digest = xxhash.xxh3_128()
    for field in (dump, uri, date):
        data = field.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    digest.update(payload)
    return digest.hexdigest()
