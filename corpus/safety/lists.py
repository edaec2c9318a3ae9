"""Lists of addresses: blocklists, allowlists and opt-outs by domain and by beginning of address.

A list is text, an entry per line, `#` begins a comment. `example.com` stands for the domain with everything below it;
`example.com/a/b` (with or without a scheme) for every address that begins so, up to a `/`, `?` or the end. This is how
the lists that are in use are written, those of the University of Toulouse among them. Entries and addresses are
compared by their keys (`corpus.url.url_keys`): scheme, `www.`, default port and the host's case make no difference.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.errors import UsageError
from corpus.io import storage
from corpus.url import url_keys

_ENDS = re.compile(r"[/?]|$")


class UrlList:
    """Domains and beginnings of addresses; an address is looked up by its host's suffixes and its path's prefixes."""

    def __init__(self, entries: Iterable[str]) -> None:
        given = [text for entry in entries if (text := entry.split("#", 1)[0].strip())]
        self._keys = frozenset(url_keys(pa.array(given, pa.string())).to_pylist())

    def contains(self, urls: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """bool[rows]: whether an entry stands for each address of a column; null is in no list."""
        return np.array([key is not None and self._contains(key) for key in url_keys(urls).to_pylist()], np.bool_)

    def _contains(self, key: str) -> bool:
        ends = [found.start() for found in _ENDS.finditer(key)]
        labels = key[: ends[0]].split(".")
        return any(".".join(labels[first:]) in self._keys for first in range(len(labels))) or any(
            key[:end] in self._keys for end in ends
        )


def read_list(patterns: Sequence[str]) -> UrlList:
    """The entries of all files that the patterns name; raise UsageError where one names none or is no text."""
    return UrlList(line for pattern in patterns for path in storage.expand(pattern) for line in _lines(path))


def _lines(path: str) -> list[str]:
    try:
        return storage.read_bytes(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}, offset {error.start}: not UTF-8; a list is text with an entry per line") from None
