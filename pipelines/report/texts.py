"""Reading the few documents that are shown, and marking how two of them differ.

Only the row groups that hold a chosen row are read with their text. A duplicate stands beside the document it
duplicates, line by line; lines that are the same are folded, and inside a changed line the changed words are marked."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpus.io import storage, table
from pipelines.report.scan import Place, Shards, shards_of

EXCERPT = 1600  # characters of a text that is shown alone
DIFF_LINES = 400  # lines of a pair that are compared
DIFF_SHOWN = 40  # lines of a pair that are shown
LINE = 400  # characters of a line that are shown
CONTEXT = 1  # unchanged lines beside a change
_WORD = re.compile(r"[一-鿿]|[^\W一-鿿]+|\s+|[^\w\s]")


def read_places(
    root: str, kind: str, places: Iterable[Place], columns: list[str] | None = None
) -> dict[Place, dict[str, Any]]:
    """The rows of a table at some places; those that are not there are left out."""
    wanted: dict[tuple[str, str], list[Place]] = {}
    for place in places:
        wanted.setdefault((place.dump, place.shard), []).append(place)
    found: dict[Place, dict[str, Any]] = {}
    for (dump, shard), here in wanted.items():
        path = storage.join(root, kind, f"dump={dump}", shard)
        if not storage.exists(path):
            continue
        for first, rows in row_groups(path, {place.row for place in here}, columns):
            for place in here:
                if first <= place.row < first + len(rows):
                    found[place] = rows.slice(place.row - first, 1).to_pylist()[0]
    return found


def row_groups(path: str, rows: set[int], columns: list[str] | None) -> Iterable[tuple[int, pa.Table]]:
    """The row groups that hold any of some rows, each with the number of its first row."""
    first = 0
    with table.open_shard(path) as file:
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if any(first <= row < first + size for row in rows):
                yield first, file.read_row_group(group, columns=columns)
            first += size


def find_ids(root: str, ids: set[str], dumps: Shards) -> dict[str, Place]:
    """Where some documents are, by id: one pass over the id columns, ended as soon as all are found."""
    found: dict[str, Place] = {}
    left = pa.array(sorted(ids), pa.string())
    for dump, name in shards_of(root, "documents", dumps):
        if len(found) == len(ids):
            break
        column = table.read_table(storage.join(root, "documents", f"dump={dump}", name), columns=["id"])["id"]
        for row in pc.indices_nonzero(pc.is_in(column, left)).to_pylist():
            found.setdefault(column[row].as_py(), Place(dump, name, row))
    return found


def excerpt(text: str) -> str:
    """The beginning of a text, with a mark where it is cut."""
    return text if len(text) <= EXCERPT else text[:EXCERPT].rstrip() + " …"


Span = tuple[bool, str]  # whether it differs from the other side, and the text


def differences(left: str, right: str) -> list[dict[str, Any]]:
    """Rows of a side-by-side view: `{"left": spans, "right": spans}`, or `{"same": n}` for n folded lines."""
    a, b = left.splitlines()[:DIFF_LINES], right.splitlines()[:DIFF_LINES]
    rows: list[dict[str, Any]] = []
    for kind, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            rows += _folded(a[a1:a2], at_start=not rows, at_end=a2 == len(a) and b2 == len(b))
        else:
            for offset in range(max(a2 - a1, b2 - b1)):
                old = a[a1 + offset] if a1 + offset < a2 else None
                new = b[b1 + offset] if b1 + offset < b2 else None
                rows.append(_changed(old, new))
    if len(rows) > DIFF_SHOWN:
        rows = [*rows[:DIFF_SHOWN], {"more": len(rows) - DIFF_SHOWN}]
    return rows


def _folded(lines: list[str], at_start: bool, at_end: bool) -> list[dict[str, Any]]:
    head, tail = (0 if at_start else CONTEXT), (0 if at_end else CONTEXT)
    if len(lines) <= head + tail + 1:
        return [_same(line) for line in lines]
    middle = {"same": len(lines) - head - tail}
    return [*map(_same, lines[:head]), middle, *map(_same, lines[len(lines) - tail :])]


def _same(line: str) -> dict[str, Any]:
    shown = [(False, line[:LINE])]
    return {"left": shown, "right": shown}


def _changed(old: str | None, new: str | None) -> dict[str, Any]:
    if old is None or new is None:
        return {
            "left": None if old is None else [(True, old[:LINE])],
            "right": None if new is None else [(True, new[:LINE])],
        }
    a, b = _WORD.findall(old[:LINE]), _WORD.findall(new[:LINE])
    left: list[Span] = []
    right: list[Span] = []
    for kind, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if a2 > a1:
            left.append((kind != "equal", "".join(a[a1:a2])))
        if b2 > b1:
            right.append((kind != "equal", "".join(b[b1:b2])))
    return {"left": left, "right": right}
