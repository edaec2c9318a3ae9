"""How two texts differ, as rows of a side-by-side view.

A duplicate stands beside the document it duplicates, line by line. Lines that are the same are folded, and inside a
changed line the changed words are marked.
"""

import difflib
import re
from typing import Any

EXCERPT = 1600  # characters of a text that is shown alone
DIFF_LINES = 400  # lines of a pair that are compared
DIFF_SHOWN = 40  # lines of a pair that are shown
LINE = 400  # characters of a line that are shown
CONTEXT = 1  # unchanged lines beside a change
_WORD = re.compile(r"[一-鿿]|[^\W一-鿿]+|\s+|[^\w\s]")


def excerpt(text: str) -> str:
    """The beginning of a text, with an ellipsis where it is cut."""
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
