"""How each signal is distributed over the documents of a language, with the bounds that are drawn through it.

At most `SHARDS` shards are read, evenly spaced over the run, and at most `ROWS` documents of each, evenly spaced too,
so that the page costs the same behind a hundred thousand documents and behind a billion; it says how many it saw.
"""

from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from corpus import signals
from corpus.errors import CorruptShard
from corpus.io import storage, table
from corpus.linguistic.thresholds import ALWAYS, Bounds, table_for
from corpus.semantic.perplexity import HEAD, MIDDLE
from pipelines.config.recipe import Recipe
from pipelines.report.scan import Shards
from pipelines.stages.filter.stages import verdict_parameters

SHARDS, ROWS = 48, 4096
BINS = 32
_TAIL = 0.005  # of the documents on either side that are put into the first and the last bin
_WIDTH, _HEIGHT, _FLOOR = 220, 92, 72


def distributions(recipe: Recipe, shards: Shards) -> dict[str, Any] | None:
    """By language, a histogram of every signal, those that have a bound first; None where nothing was measured.

    `buckets` has for each language with a perplexity the shares of CCNet's head, middle and tail.
    """
    places = [f"dump={dump}/{name}" for dump, names in shards.items() for name in sorted(names)]
    chosen = [places[index] for index in _spaced(len(places), SHARDS)]
    values: dict[tuple[str, str], list[npt.NDArray[np.float64]]] = {}
    documents = sum(_read(recipe.root, place, recipe.filter.languages, values) for place in chosen)
    if not values:
        return None
    parameters = verdict_parameters(recipe.filter)
    tables = {name: {s: Bounds(*b) for s, b in rules.items()} for name, rules in parameters.tables.items()}
    found: dict[str, list[dict[str, Any]]] = {}
    buckets = {}
    for language in recipe.filter.languages:
        bounds = {**table_for(language, tables), **tables.get(ALWAYS, {})}
        own = {name: np.concatenate(values[language, name]) for name in signals.REGISTRY if (language, name) in values}
        rows = [_histogram(name, column, bounds.get(name, Bounds())) for name, column in own.items()]
        if rows:
            found[language] = sorted(rows, key=lambda row: row["min"] is None and row["max"] is None)
        if "perplexity_rank" in own:
            low, high = (float((own["perplexity_rank"] < cut).mean()) for cut in (HEAD, MIDDLE))
            buckets[language] = {"head": low, "middle": high - low, "tail": 1 - high}
    seen = {"documents": documents, "shards": len(chosen), "all_shards": len(places)}
    return seen | {"languages": found, "buckets": buckets}


def _spaced(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` numbers below `count`, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _read(root: str, place: str, languages: tuple[str, ...], values: dict[tuple[str, str], list[Any]]) -> int:
    """Add the values of a shard's signals; the number of its documents. A table made for others counts as absent."""
    try:
        documents = table.read_table(storage.join(root, "documents", place), ["id", "language"])
    except (OSError, CorruptShard):
        return 0
    rows = _spaced(len(documents), ROWS)
    of = documents["language"].take(rows).to_numpy(zero_copy_only=False)
    for name in signals.TABLES:
        columns = [signal.name for signal in signals.REGISTRY.values() if signal.table == name]
        try:
            found = table.read_table(storage.join(root, name, place))
        except (OSError, CorruptShard):
            continue
        if len(found) != len(documents) or not found["id"].equals(documents["id"]):
            continue
        for signal in set(columns) & set(found.column_names):
            column = found[signal].take(rows).to_numpy(zero_copy_only=False).astype(np.float64)
            for language in languages:
                own = column[(of == language) & np.isfinite(column)]
                if len(own):
                    values.setdefault((language, signal), []).append(own)
    return len(rows)


def _histogram(signal: str, values: npt.NDArray[np.float64], bounds: Bounds) -> dict[str, Any]:
    limits = [bound for bound in bounds if bound is not None]
    low, high = np.quantile(values, [_TAIL, 1 - _TAIL])
    low, high = min([low, *limits]), max([high, *limits])
    if high <= low:
        high = low + 1
    counts, _ = np.histogram(np.clip(values, low, high), BINS, (low, high))
    failed = np.zeros(len(values), bool)
    if bounds.min is not None:
        failed |= values < bounds.min
    if bounds.max is not None:
        failed |= values > bounds.max
    return {
        "signal": signal,
        "meaning": signals.REGISTRY[signal].meaning,
        "low": float(low),
        "high": float(high),
        "counts": counts.tolist(),
        "min": bounds.min,
        "max": bounds.max,
        "failed": float(failed.mean()),
    }


def drawing(row: dict[str, Any]) -> Markup:
    """A histogram as inline SVG: what fails in the colour of warnings, a dashed line at each bound.

    The bins of a colour are one path, so that a page of a hundred histograms stays light.
    """
    most, width = max(row["counts"]) or 1, _WIDTH / len(row["counts"])
    low, high = row["low"], row["high"]
    bins = {"tone-1": "", "tone-2": ""}
    for index, count in enumerate(row["counts"]):
        middle = low + (index + 0.5) / len(row["counts"]) * (high - low)
        below = row["min"] is not None and middle < row["min"] and index + 1 < len(row["counts"])
        above = row["max"] is not None and middle > row["max"] and index > 0  # the first bin holds the bound itself
        if count:
            tall = max((_FLOOR - 4) * np.sqrt(count / most), 1.0)
            start = f"M{index * width:.1f} {_FLOOR}"
            bins["tone-2" if below or above else "tone-1"] += f"{start}v{-tall:.1f}h{width - 1:.1f}v{tall:.1f}z"
    parts = [f'<path class="fill {tone}" d="{path}"/>' for tone, path in bins.items() if path]
    for bound in (row["min"], row["max"]):
        if bound is not None:
            x = min(_WIDTH - 1.0, max(1.0, (bound - low) / (high - low) * _WIDTH))
            parts.append(f'<path class="stroke tone-2" stroke-dasharray="3 3" d="M{x:.1f} 0V{_FLOOR}"/>')
    ends = ((0, "start", low), (_WIDTH, "end", high))
    parts += [
        f'<text class="tick" x="{x}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{_figure(value)}</text>'
        for x, anchor, value in ends
    ]
    label = escape(f"{row['signal']}: {row['failed']:.1%} of documents outside its bounds")
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
