"""The bytes behind an Arrow string column, as kernels want them: one flat array and one array of offsets.

Every numba kernel of the house reads documents through this view, so that no document ever becomes a Python string.
Kernels load 64 bytes at a time and look past the last document; the padding makes that safe.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PADDING = 128  # bytes: kernels load 64 at a time, from up to two behind the last document on


def utf8_buffers(column: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return `(data, offsets)` of a string, large_string, binary or large_binary column.

    `data` is uint8 with `PADDING` zero bytes after the last document; `offsets` is int64 of length rows + 1 and starts
    at 0, so document i is `data[offsets[i]:offsets[i + 1]]`. Nulls are empty documents. One copy of the bytes is made.
    """
    views = utf8_views(column)
    total = sum(int(offsets[-1] - offsets[0]) for _, offsets in views)
    data = np.empty(total + PADDING, np.uint8)
    data[total:] = 0
    all_offsets = np.zeros(sum(len(offsets) - 1 for _, offsets in views) + 1, np.int64)
    at = row = 0
    for source, offsets in views:
        first, size = int(offsets[0]), int(offsets[-1] - offsets[0])
        data[at : at + size] = source[first : first + size]
        all_offsets[row + 1 : row + len(offsets)] = offsets[1:] - first + at
        at += size
        row += len(offsets) - 1
    return data, all_offsets


def utf8_views(
    column: pa.Array | pa.ChunkedArray,
) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
    """`(data, offsets)` of each chunk that is not empty, without a copy of the bytes: no padding, for no kernel.

    Offsets need not start at 0.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [_view(chunk) for chunk in chunks if len(chunk)]


def padded_views(
    column: pa.Array | pa.ChunkedArray,
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
    """`(data, offsets)` of successive documents, for kernels; of each chunk only those are copied that end less than
    `PADDING` bytes before its buffer does.

    Behind the last of these documents are `PADDING` bytes, of other documents or zeros. `data` is read-only, and
    offsets need not start at 0.
    """
    for data, offsets in utf8_views(column):
        row = max(int(np.searchsorted(offsets, len(data) - PADDING, side="right")) - 1, 0)
        if row:
            yield data, offsets[: row + 1]
        if row < len(offsets) - 1:
            rest = np.append(data[offsets[row] : offsets[-1]], np.zeros(PADDING, np.uint8))
            rest.setflags(write=False)
            yield rest, offsets[row:] - offsets[row]


def _view(chunk: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes and int64 offsets of one chunk, without copying the bytes."""
    if chunk.null_count:
        chunk = chunk.fill_null(b"" if pa.types.is_binary(chunk.type) or pa.types.is_large_binary(chunk.type) else "")
    wide = pa.types.is_large_string(chunk.type) or pa.types.is_large_binary(chunk.type)
    _, offset_buffer, data_buffer = chunk.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64 if wide else np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    data = np.frombuffer(data_buffer if data_buffer is not None else b"", np.uint8)
    data.setflags(write=False)
    return data, offsets.astype(np.int64)
