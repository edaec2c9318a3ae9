"""Spans: cut as a reference in plain Python cuts, merged without losing or doubling a byte, refused where wrong."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import HeadwaterError
from corpus.spans import SCHEMA, cut, merge, span_table, spans_of

Row = list[tuple[int, int, str]]
REPLACEMENTS = {"email": "<email>", "phone": "☎"}
TEXTS = st.lists(st.text("ab 数据é😀\n", max_size=20), min_size=1, max_size=5)


def _table(rows: list[Row], ids: list[str] | None = None) -> pa.Table:
    spans = [[{"start": a, "end": b, "kind": kind} for a, b, kind in row] for row in rows]
    return pa.table({"id": ids or [str(i) for i in range(len(rows))], "spans": spans}, SCHEMA)


def _lists(table: pa.Table) -> list[Row]:
    return [[(s["start"], s["end"], s["kind"]) for s in row] for row in table["spans"].to_pylist()]


@st.composite
def _spans(draw: st.DrawFn, text: str) -> Row:
    """Sorted spans that do not overlap and begin and end between characters, at least one byte each."""
    bounds = [len(text[:i].encode()) for i in range(len(text) + 1)]
    chosen = sorted(draw(st.sets(st.sampled_from(bounds), max_size=6)))
    pairs = list(zip(chosen[::2], chosen[1::2]))
    return [(a, b, draw(st.sampled_from(["passage", "email", "phone"]))) for a, b in pairs]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[list[str], pa.Table, pa.Table]:
    texts = draw(TEXTS)
    first, second = ([draw(_spans(text)) for text in texts] for _ in range(2))
    return texts, _table(first), _table(second)


def _cut(text: str, row: Row) -> str:
    raw, out, at = text.encode(), b"", 0
    for start, end, kind in row:
        out += raw[at:start] + REPLACEMENTS.get(kind, "").encode()
        at = end
    return (out + raw[at:]).decode()


@settings(deadline=None)
@given(_cases(), st.integers(1, 3))
def test_cut_as_the_reference_does(case: tuple[list[str], pa.Table, pa.Table], chunk: int) -> None:
    texts, table, _ = case
    column = pa.chunked_array([texts[i : i + chunk] for i in range(0, len(texts), chunk)], pa.large_string())
    expected = [_cut(text, row) for text, row in zip(texts, _lists(table))]
    assert cut(column, [table], REPLACEMENTS).to_pylist() == expected


@settings(deadline=None)
@given(_cases())
def test_merged_spans_claim_each_byte_once(case: tuple[list[str], pa.Table, pa.Table]) -> None:
    texts, first, second = case
    merged = merge(first, second)
    for one, other, both in zip(_lists(first), _lists(second), _lists(merged)):
        claimed = [byte for start, end, _ in both for byte in range(start, end)]
        assert claimed == sorted({byte for start, end, _ in one + other for byte in range(start, end)})
        assert both == sorted(both)
        for start, end, kind in both:
            assert any(a <= start < end <= b and kind == name for a, b, name in one + other)
    column = pa.array(texts, pa.large_string())
    assert cut(column, [first, second], REPLACEMENTS).equals(cut(column, [merged], REPLACEMENTS))


def test_the_span_that_begins_first_has_what_both_claim() -> None:
    first, second = _table([[(0, 6, "passage"), (8, 9, "passage")]]), _table([[(3, 8, "email"), (8, 12, "phone")]])
    assert _lists(merge(first, second)) == [[(0, 6, "passage"), (6, 8, "email"), (8, 12, "phone")]]


def test_arrays_and_table_are_the_same() -> None:
    table = _table([[], [(1, 2, "a"), (4, 9, "b")], [], [(0, 3, "a")]])
    assert span_table(table["id"], spans_of(table)).equals(table)
    part = table.slice(1, 2)
    assert _lists(span_table(part["id"], spans_of(part))) == _lists(part)


def test_without_spans_the_text_is_as_it_was() -> None:
    column = pa.chunked_array([["a", "数"], ["b"]], pa.large_string())
    assert cut(column, [], {}).equals(column)
    assert cut(column, [_table([[], [], []])], {}).equals(column)


@pytest.mark.parametrize(("start", "end"), [(0, 5), (-1, 2), (1, 3), (0, 2)])
def test_spans_of_another_text_are_refused(start: int, end: int) -> None:
    with pytest.raises(HeadwaterError, match=rf"row 1: the span from byte {start} to {end} is none of its text"):
        cut(pa.array(["ab", "数a"], pa.large_string()), [_table([[], [(start, end, "passage")]])], {})


def test_tables_of_other_documents_are_refused() -> None:
    with pytest.raises(HeadwaterError, match="different documents"):
        merge(_table([[]], ["a"]), _table([[]], ["b"]))
    with pytest.raises(HeadwaterError, match="has 1 rows, the documents are 2"):
        cut(pa.array(["a", "b"], pa.large_string()), [_table([[]])], {})
