"""Ids of documents."""

from hypothesis import given
from hypothesis import strategies as st

from corpus.document import document_id

fields = st.tuples(st.text(), st.text(), st.text(), st.binary())


def test_an_id_is_what_it_has_always_been():
    assert document_id("CC-MAIN-2023-23", "https://example.org/", "2023-05-28T12:34:56Z", b"<html>") == (
        "18ef1eb27fd6acb1f7823e03c77eb186"
    )


@given(fields, fields)
def test_different_records_have_different_ids(one, other):
    assert (document_id(*one) == document_id(*other)) == (one == other)


def test_fields_do_not_run_into_each_other():
    assert document_id("a", "bc", "", b"") != document_id("ab", "c", "", b"")
    assert document_id("", "", "a", b"b") != document_id("", "", "", b"ab")
