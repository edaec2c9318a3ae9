"""What an archive file is read into: records, and the damage between them."""

from dataclasses import dataclass

from fastwarc.warc import HeaderMap

WANTED = frozenset({"response", "conversion"})  # the types of records whose content is read


@dataclass(slots=True)
class Record:
    """One record. `content` is the whole block of a response or conversion, and empty for other types."""

    type: str
    offset: int  # of the record (or of the gzip member that holds it) in the file, bytes
    uri: str = ""  # as written
    date: str = ""  # WARC-Date as written
    media_type: str = ""  # WARC-Identified-Payload-Type: what the crawler found the payload to be
    content: bytes = b""
    problem: str = ""  # truncated, too-large or corrupt: there is no whole content
    detail: str = ""

    def describe(self, headers: HeaderMap) -> None:
        """Take over what the WARC headers of a record whose content is read say about it."""
        if self.type in WANTED:
            self.uri = headers.get("WARC-Target-URI") or ""
            self.date = headers.get("WARC-Date") or ""
            self.media_type = headers.get("WARC-Identified-Payload-Type") or ""


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of a file that is no readable record: `truncated`, `corrupt`, `bad-record`, `bad-header`, `empty-file`."""

    offset: int
    reason: str
    detail: str
