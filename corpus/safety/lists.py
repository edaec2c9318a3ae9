"""Lists of places: blocklists, allowlists and opt-outs by domain and by address.

A list is text, an entry a line, `#` begins a comment. `example.com` stands for the domain with everything below it;
`example.com/a/b` (with or without a scheme) for every address that begins so, up to a `/`, `?` or the end. This is how
the lists that are in use are written, those of the University of Toulouse among them. Hosts match in any case, `www.`
makes no difference.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.errors import UsageError
from corpus.io import storage
from corpus.url import canonical_url


class PlaceList:
    """Domains and beginnings of addresses; an address is looked up by its host's suffixes and its path's prefixes."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._places: set[str] = set()
        for entry in entries:
            place = entry.split("#", 1)[0].strip()
            if place:
                self._places.add(_place(place).rstrip("/"))

    def holds(self, url: str) -> bool:
        """Whether an entry stands for the address."""
        host, _, path = _place(url).partition("/")
        labels = host.split(".")
        if any(".".join(labels[first:]) in self._places for first in range(len(labels))):
            return True
        ends = [index for index, character in enumerate(path) if character in "/?"]
        return any(f"{host}/{path[:end]}" in self._places for end in [*ends, len(path)])

    def which(self, urls: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Whether it stands for each address of a column; null is in no list."""
        return np.array([url is not None and self.holds(url) for url in urls.to_pylist()], np.bool_)


def read_list(patterns: Sequence[str]) -> PlaceList:
    """The entries of all files that the patterns name; raise UsageError where one names none or is no text."""
    return PlaceList(line for pattern in patterns for path in storage.expand(pattern) for line in _lines(path))


def _lines(path: str) -> list[str]:
    try:
        return storage.read_bytes(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}, offset {error.start}: not UTF-8; a list is text with an entry a line") from None


def _place(url: str) -> str:
    """Host and path without scheme, `www.` and default port."""
    whole = canonical_url(url if "://" in url else f"http://{url}")
    return whole.split("://", 1)[-1].removeprefix("www.")
