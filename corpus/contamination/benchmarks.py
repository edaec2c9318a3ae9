"""Benchmark sets as texts to look for: the texts of every item of a set, with the item and the field each is from.

A set is one or more files of JSON lines (.jsonl, .json; .gz, .zst) or Parquet, one item per row. A list or mapping of
strings (the options of a question) is one text: one option alone, "at a constant speed in a straight line", is found in
any textbook. What is too short to be recognised is dropped later, by the index, so ids and labels need no list of
exceptions. `fields` narrows a set where a column is not the benchmark's (the answers of some model that are kept beside
the questions).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from corpus.errors import UsageError
from corpus.io import storage
from corpus.io.line_blocks import BadRow
from corpus.io.plain_files import read_objects


class BenchmarkText(NamedTuple):
    """One text of one item of a benchmark."""

    benchmark: str
    item: int  # the item's number in the set, from 0, file by file in the order of their names
    field: str
    text: str


def read_benchmark(name: str, files: Sequence[str], fields: Sequence[str] = ()) -> Iterator[BenchmarkText]:
    """The texts of a set, in order. `fields`: the top-level fields to take (none: all).

    Raises UsageError for a pattern that names no file, a row that cannot be read, and a field that no item has.
    """
    paths = [path for pattern in files for path in storage.expand(pattern)]
    missing = set(fields)
    item = 0
    for path in paths:
        for row in read_objects(path):
            if isinstance(row, BadRow):
                raise UsageError(f"{path}, offset {row.offset}: benchmark {name} cannot be read: {row.detail}")
            missing -= set(row)
            for field, value in row.items():
                text = "\n".join(_strings(value))
                if text and (not fields or field in fields):
                    yield BenchmarkText(name, item, field, text)
            item += 1
    if missing:
        raise UsageError(f"benchmark {name}: no item has a field `{sorted(missing)[0]}`")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)
