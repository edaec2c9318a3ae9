"""What of a document's text is not trained on: the spans that are cut or masked, with their words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from corpus import spans
from pipelines.config.recipe import Recipe
from pipelines.report.scan import Place
from pipelines.report.texts import read_places
from pipelines.stages.tokens.texts import SPAN_TABLES


def spans_at(recipe: Recipe, places: Sequence[Place]) -> dict[Place, dict[str, Any]]:
    """Of the documents at some places that have tables of spans: `{"cut": bytes, "masked": bytes, "spans": [...]}`.

    A span is `{"kind", "start", "end", "text", "becomes"}`, as it is applied: where tables overlap, one has the bytes.
    """
    tables = [read_places(recipe.root, name, places) for name in SPAN_TABLES]
    masks = recipe.safety.replacements
    texts = read_places(recipe.root, "documents", [place for place in places if any(place in t for t in tables)])
    found = {}
    for place, document in texts.items():
        rows = [rows[place] for rows in tables if place in rows and rows[place]["id"] == document["id"]]
        if rows:
            found[place] = _described(rows, document["text"].encode(), masks)
    return found


def _described(rows: list[dict[str, Any]], text: bytes, masks: Mapping[str, str]) -> dict[str, Any]:
    both = spans.united([spans.spans_of(pa.Table.from_pylist([row], spans.SCHEMA)) for row in rows])
    listed = [
        {"kind": kind, "start": start, "end": end, "text": text[start:end].decode(), "becomes": masks.get(kind)}
        for kind, start, end in zip(both.kinds.to_pylist(), both.starts.tolist(), both.ends.tolist())
    ]
    sizes = {masked: sum(s["end"] - s["start"] for s in listed if (s["kind"] in masks) == masked) for masked in (0, 1)}
    return {"cut": sizes[0], "masked": sizes[1], "spans": listed}
