"""A dump of Common Crawl, and which files it is made of.

A dump is named as Common Crawl names it (`CC-MAIN-2023-23`) and found below any root, a folder, `s3://commoncrawl` or
`https://data.commoncrawl.org`, through the list that every dump carries: `crawl-data/<dump>/warc.paths.gz`, one path
a line, relative to the root. The order of that list is the order of the shards.
"""

import re
import zlib
from typing import Literal

from corpus.errors import HeadwaterError, UsageError
from corpus.io import storage

Format = Literal["warc", "wet"]

_DUMP = re.compile(r"CC-(MAIN-(\d{4})-(\d{2})|MAIN-2009-2010|MAIN-2008-2009|MAIN-2012|NEWS|NEWS-\d{4}-\d{2})")
MAX_LIST = 256 << 20  # unpacked bytes of a path list; the largest dump's is 20 MB


def check_dump(name: str) -> str:
    """Return the name of a dump; raise UsageError where Common Crawl would not name one so."""
    found = _DUMP.fullmatch(name)
    if not found or (found.group(3) and not 1 <= int(found.group(3)) <= 53):
        raise UsageError(f"{name}: not the name of a dump; Common Crawl names them by year and week, CC-MAIN-2023-23")
    return name


def paths_file(root: str, dump: str, format: Format) -> str:
    """Where the list of a dump's files is."""
    return storage.join(root, f"crawl-data/{check_dump(dump)}/{format}.paths.gz")


def dump_files(root: str, dump: str, format: Format, limit: int | None = None) -> list[str]:
    """The paths of a dump's files, in the order of its list: at most `limit` of them, each joined to the root.

    Raises HeadwaterError where the list is not there, cannot be read, or names nothing.
    """
    listing = paths_file(root, dump, format)
    try:
        packed = storage.read_bytes(listing)
    except (OSError, ValueError) as error:
        mend = f"is {root} the folder or bucket above crawl-data/, and does {dump} have {format.upper()} files?"
        raise HeadwaterError(f"{listing}: cannot read the list of files ({_first_line(error)}); {mend}") from None
    lines = _unpack(packed, listing).decode("utf-8", "replace").split("\n")
    names = [name for line in lines if (name := line.strip())]
    if not names:
        raise HeadwaterError(f"{listing}: the list of files is empty; the dump may not be complete at this root")
    return [storage.join(root, name.removeprefix("/")) for name in names[:limit]]


def _unpack(packed: bytes, listing: str) -> bytes:
    if not packed.startswith(b"\x1f\x8b"):
        return packed
    decoder = zlib.decompressobj(31)
    try:
        plain = decoder.decompress(packed, MAX_LIST)
    except zlib.error as error:
        raise HeadwaterError(f"{listing}: not a gzip file ({error}); download it again") from None
    if not decoder.eof:
        raise HeadwaterError(f"{listing}: cut short, or more than {MAX_LIST} bytes of list; download it again")
    return plain


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
