"""Equality of texts and of addresses: the two kinds of duplicate that need no shingles.

Two texts are exact duplicates when their UTF-8 bytes are equal, judged by xxh3-128, so the empty text is a duplicate of
the empty text. Two pages have the same address when the keys of their URLs are equal: scheme, a leading `www.`, the
default port, the fragment and trailing slashes of the path dropped, the host in lower case, the query left as it is.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpus.io.buffers import utf8_buffers, utf8_views
from corpus.url import raw_url_keys


def text_hashes(text: pa.Array | pa.ChunkedArray) -> pa.Array:
    """fixed_size_binary(16): the xxh3-128 of each document's bytes (canonical, big-endian); nulls are empty texts."""
    digests = []
    for data, offsets in utf8_views(text):
        view, ends = data.data, offsets.tolist()
        digests += [xxhash.xxh3_128_digest(view[start:end]) for start, end in pairwise(ends)]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(digests), [None, pa.py_buffer(b"".join(digests))])


def hash_columns(hashes: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """uint64[n, k] from fixed_size_binary(8 * k)."""
    chunks = hashes.chunks if isinstance(hashes, pa.ChunkedArray) else [hashes]
    k = hashes.type.byte_width // 8
    parts = [np.frombuffer(c.buffers()[1], np.uint64)[k * c.offset : k * (c.offset + len(c))] for c in chunks if len(c)]
    return (np.concatenate(parts) if parts else np.zeros(0, np.uint64)).reshape(-1, k)


def hash_binary(hashes: npt.NDArray[np.uint64]) -> pa.Array:
    """fixed_size_binary(8 * k) from uint64[n, k], which Parquet stores as it is: lists cost ten times as much."""
    rows, k = hashes.shape
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(8 * k), rows, [None, pa.py_buffer(np.ascontiguousarray(hashes))]
    )


def url_hashes(urls: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """uint64: the xxh3-64 of each address's key (`corpus.url.raw_url_keys`); 0 where there is none."""
    data, offsets = utf8_buffers(raw_url_keys(urls).cast(pa.large_string()))
    view = data.data
    spans = zip(offsets[:-1].tolist(), offsets[1:].tolist())
    hashes = (xxhash.xxh3_64_intdigest(view[start:end]) if end > start else 0 for start, end in spans)
    return np.fromiter(hashes, np.uint64, len(offsets) - 1)
