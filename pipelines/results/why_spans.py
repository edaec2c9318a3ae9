"""What of a document's text is not trained on: the spans that are cut or masked, with their words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from corpus import spans
from pipelines.config.recipe import Recipe
from pipelines.results.shards import RowRef, read_rows
from pipelines.stages.tokens.texts import SPAN_TABLES


def spans_at(recipe: Recipe, refs: Sequence[RowRef]) -> dict[RowRef, dict[str, Any]]:
    """Of those of some documents that have tables of spans: `{"cut": bytes, "masked": bytes, "spans": [...]}`.

    A span is `{"kind", "start", "end", "text", "becomes"}`, as it is applied: where tables overlap, one has the bytes.
    """
    tables = [read_rows(recipe.root, name, refs) for name in SPAN_TABLES]
    masks = recipe.safety.replacements
    texts = read_rows(recipe.root, "documents", [ref for ref in refs if any(ref in t for t in tables)])
    found = {}
    for ref, document in texts.items():
        rows = [rows[ref] for rows in tables if ref in rows and rows[ref]["id"] == document["id"]]
        if rows:
            found[ref] = _described(rows, document["text"].encode(), masks)
    return found


def _described(rows: list[dict[str, Any]], text: bytes, masks: Mapping[str, str]) -> dict[str, Any]:
    both = spans.united([spans.spans_of(pa.Table.from_pylist([row], spans.SCHEMA)) for row in rows])
    listed = [
        {"kind": kind, "start": start, "end": end, "text": text[start:end].decode(), "becomes": masks.get(kind)}
        for kind, start, end in zip(both.kinds.to_pylist(), both.starts.tolist(), both.ends.tolist())
    ]
    sizes = {masked: sum(s["end"] - s["start"] for s in listed if (s["kind"] in masks) == masked) for masked in (0, 1)}
    return {"cut": sizes[0], "masked": sizes[1], "spans": listed}
