"""Spans: pieces of a document's text that are to be left out of it, or replaced, once it is written out again.

Text is written once, by extraction. What finds something in it that must not be trained on (a passage that another
document has too, a mail address) writes spans beside it: a table with the documents' rows, each with byte offsets into
the document's UTF-8 text. `cut` applies any number of such tables, and nothing else does, so that what
`why` shows is what the tokenizer saw.

The spans of a document are sorted, do not overlap, and begin and end between characters. Where the spans of two tables
overlap, the one that begins first has the bytes that both claim, and what is left of the other begins where it ends: no
byte that anyone claims survives, and none is replaced twice.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpus.errors import HeadwaterError
from corpus.io.buffers import PADDING, utf8_buffers
from corpus.kernels.types import I64, U8, Bools

SPAN = pa.struct(
    [
        pa.field("start", pa.int64(), nullable=False),  # byte offset in the document's text
        pa.field("end", pa.int64(), nullable=False),  # of the byte after the last
        pa.field("kind", pa.string(), nullable=False),  # what it is: passage, line, email, ...
    ]
)
SCHEMA = pa.schema(
    [pa.field("id", pa.string(), nullable=False), pa.field("spans", pa.list_(SPAN), nullable=False)],
)


class Spans(NamedTuple):
    """The spans of n documents as arrays: document i has spans `offsets[i]` to `offsets[i + 1]`."""

    offsets: I64  # [n + 1]
    starts: I64
    ends: I64
    kinds: pa.StringArray


def spans_of(table: pa.Table) -> Spans:
    """The arrays of a span table (or of some of its rows)."""
    lists = table["spans"].combine_chunks()
    flat = lists.flatten()
    offsets = np.zeros(len(table) + 1, np.int64)
    np.cumsum(pc.list_value_length(lists).to_numpy(zero_copy_only=False), out=offsets[1:])
    starts, ends, kinds = (pc.struct_field(flat, name) for name in SPAN.names)
    return Spans(offsets, starts.to_numpy(), ends.to_numpy(), kinds)


def span_table(ids: pa.Array | pa.ChunkedArray, spans: Spans) -> pa.Table:
    """The table of SCHEMA for documents `ids` with these spans."""
    columns = [pa.array(spans.starts, pa.int64()), pa.array(spans.ends, pa.int64()), spans.kinds.cast(pa.string())]
    flat = pa.StructArray.from_arrays(columns, fields=list(SPAN))
    lists = pa.ListArray.from_arrays(pa.array(spans.offsets.astype(np.int32)), flat, type=SCHEMA.field("spans").type)
    return pa.table([ids, lists], SCHEMA)


def united(every: Sequence[Spans]) -> Spans:
    """The spans of several tables over the same documents as those of one; earlier tables win where two are equal."""
    rows = np.concatenate([_rows(spans) for spans in every])
    starts = np.concatenate([spans.starts for spans in every])
    ends = np.concatenate([spans.ends for spans in every])
    kinds = pa.concat_arrays([spans.kinds for spans in every])
    order = np.lexsort((-ends, starts, rows))  # stable: the order of the tables breaks the last ties
    rows, starts, ends = rows[order], starts[order], ends[order]
    _begin_after_earlier(rows, starts, ends)
    left = np.flatnonzero(starts < ends)
    offsets = np.searchsorted(rows[left], np.arange(len(every[0].offsets)))
    return Spans(offsets, starts[left], ends[left], kinds.take(pa.array(order[left])))


def merge(a: pa.Table, b: pa.Table) -> pa.Table:
    """One span table of two over the same documents; raise HeadwaterError where their ids differ."""
    if len(a) != len(b) or not a["id"].equals(b["id"]):
        raise HeadwaterError("two tables of spans are of different documents: their ids are not equal")
    return span_table(a["id"], united([spans_of(a), spans_of(b)]))


def cut(
    text: pa.Array | pa.ChunkedArray, tables: Sequence[pa.Table], replacements: Mapping[str, str]
) -> pa.ChunkedArray:
    """The texts (large_string) without their spans; a span of a kind in `replacements` becomes that string instead.

    The tables have the rows of `text`; that their ids are those of the documents is for the caller to check. Raises
    HeadwaterError for a span that does not lie in its text or does not begin and end between two characters.
    """
    column = text if isinstance(text, pa.ChunkedArray) else pa.chunked_array([text])
    for table in tables:
        if len(table) != len(column):
            raise HeadwaterError(f"a table of spans has {len(table)} rows, the documents are {len(column)}")
    spans = united([spans_of(table) for table in tables]) if tables else None
    if spans is None or not len(spans.starts):
        return column.cast(pa.large_string())
    data, offsets = utf8_buffers(column)
    coded = spans.kinds.dictionary_encode()
    codes = coded.indices.to_numpy().astype(np.int64)
    strings = [replacements.get(kind, "").encode() for kind in coded.dictionary.to_pylist()]
    instead = np.frombuffer(b"".join(strings) + bytes(PADDING), np.uint8)
    bounds = np.cumsum([0, *map(len, strings)]).astype(np.int64)
    rows = _rows(spans)
    starts, ends = spans.starts + offsets[rows], spans.ends + offsets[rows]
    wrong = (spans.starts < 0) | (ends > offsets[rows + 1])
    at = np.where(wrong, 0, starts), np.where(wrong, 0, ends)
    wrong |= _inside_character(data[at[0]]) | (_inside_character(data[at[1]]) & (ends < offsets[rows + 1]))
    if wrong.any():
        which = int(np.flatnonzero(wrong)[0])
        raise HeadwaterError(
            f"row {rows[which]}: the span from byte {spans.starts[which]} to {spans.ends[which]} is none of its text, "
            f"which has {offsets[rows[which] + 1] - offsets[rows[which]]} bytes; the spans were made from another text"
        )
    grown = np.diff(bounds)[codes] - (ends - starts)
    new_offsets = offsets + np.concatenate([[0], np.cumsum(grown)])[spans.offsets]
    out = np.empty(int(new_offsets[-1]), np.uint8)
    _copy_uncut(data, int(offsets[-1]), starts, ends, codes, instead, bounds, out)
    buffers = [None, pa.py_buffer(new_offsets), pa.py_buffer(out)]
    return pa.chunked_array([pa.LargeStringArray.from_buffers(len(column), *buffers[1:])])


def cut_lengths(table: pa.Table) -> I64:
    """How many bytes the spans of each document have together: int64[rows]."""
    spans = spans_of(table)
    total = np.concatenate([[0], np.cumsum(spans.ends - spans.starts)])
    return np.diff(total[spans.offsets])


def _rows(spans: Spans) -> I64:
    """The document of each span."""
    return np.repeat(np.arange(len(spans.offsets) - 1), np.diff(spans.offsets))


def _inside_character(byte: U8) -> Bools:
    return (byte & 0xC0) == 0x80


@njit(nogil=True, cache=True)
def _begin_after_earlier(rows: I64, starts: I64, ends: I64) -> None:
    """Move the start of each span to where those before it in its document end; it may then be empty."""
    row, reached = -1, 0
    for i in range(len(rows)):
        if rows[i] != row:
            row, reached = rows[i], starts[i]
        starts[i] = max(starts[i], reached)
        reached = max(reached, ends[i])


@njit(nogil=True, cache=True)
def _copy_uncut(data: U8, size: int, starts: I64, ends: I64, codes: I64, instead: U8, bounds: I64, out: U8) -> None:
    """Copy `data[:size]` to `out` without the spans (ascending), each replaced by `instead` at its kind's bounds."""
    source = target = 0
    for i in range(len(starts)):
        length = starts[i] - source
        out[target : target + length] = data[source : starts[i]]
        target += length
        first, last = bounds[codes[i]], bounds[codes[i] + 1]
        out[target : target + last - first] = instead[first:last]
        target += last - first
        source = ends[i]
    out[target : target + size - source] = data[source:size]
