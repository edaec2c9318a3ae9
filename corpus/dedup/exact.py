"""Equality of texts and of addresses: the two kinds of duplicate that need no shingles.

Two texts are exact duplicates when their UTF-8 bytes are equal, judged by xxh3-128, so the empty text is a duplicate of
the empty text. Two pages have the same address when their canonical URLs are equal: scheme, a leading `www.`, the
default port, the fragment and trailing slashes of the path dropped, the host in lower case, the query left as it is.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus.io.buffers import utf8_buffers, utf8_views


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


def canonical_urls(urls: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The canonical form of each URL; null where there is none."""
    split = pc.extract_regex(
        pc.replace_substring_regex(urls, r"#.*$", ""),
        r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?P<host>[^/?]*)(?P<path>[^?]*)(?P<query>.*)$",
    )
    host = pc.utf8_lower(pc.struct_field(split, "host"))
    host = pc.replace_substring_regex(pc.replace_substring_regex(host, r":(80|443)$", ""), r"^www\.", "")
    path = pc.replace_substring_regex(pc.struct_field(split, "path"), r"/+$", "")
    return pc.binary_join_element_wise(host, path, pc.struct_field(split, "query"), "")


def url_hashes(urls: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """The xxh3-64 of each canonical URL; 0 where there is none."""
    canonical = canonical_urls(urls).cast(pa.large_string())
    data, offsets = utf8_buffers(canonical)
    view = data.data
    spans = zip(offsets[:-1].tolist(), offsets[1:].tolist())
    hashes = (xxhash.xxh3_64_intdigest(view[start:end]) if end > start else 0 for start, end in spans)
    return np.fromiter(hashes, np.uint64, len(offsets) - 1)
