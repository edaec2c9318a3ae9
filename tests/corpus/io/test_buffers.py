"""The kernels' view of a column equals the column, however Arrow holds it."""

import itertools

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.io.buffers import PADDING, padded_views, utf8_buffers

TYPES = [pa.string(), pa.large_string()]


@given(st.lists(st.lists(st.none() | st.text(max_size=8), max_size=5), max_size=4), st.sampled_from(TYPES))
def test_equals_the_column(chunks: list[list[str | None]], kind: pa.DataType) -> None:
    column = pa.chunked_array([pa.array(chunk, kind) for chunk in chunks], kind)
    data, offsets = utf8_buffers(column)
    documents = [bytes(data[a:b]).decode() for a, b in itertools.pairwise(offsets)]
    assert documents == [text or "" for chunk in chunks for text in chunk]
    assert len(data) == offsets[-1] + PADDING
    assert not data[offsets[-1] :].any()


@given(
    st.lists(st.lists(st.none() | st.text(max_size=40), max_size=9), max_size=4),
    st.sampled_from(TYPES),
    st.integers(0, 9),
    st.integers(0, 20),
)
def test_padded_views_equal_the_column(
    chunks: list[list[str | None]], kind: pa.DataType, first: int, length: int
) -> None:
    column = pa.chunked_array([pa.array(chunk, kind) for chunk in chunks], kind).slice(first, length)
    documents = []
    for data, offsets in padded_views(column):
        documents += [bytes(data[a:b]).decode() for a, b in itertools.pairwise(offsets)]
        assert len(data) >= offsets[-1] + PADDING
    assert documents == [text or "" for text in column.to_pylist()]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_a_slice_is_read_where_it_starts(kind: pa.DataType) -> None:
    data, offsets = utf8_buffers(pa.array(["one", None, "three", "four"], pa.string()).cast(kind).slice(1, 2))
    assert bytes(data[: offsets[-1]]) == b"three"
    assert offsets.tolist() == [0, 0, 5]
