"""How each signal is distributed over the documents of a language, with its bounds.

At most `SHARDS` shards are read, evenly spaced over the run, and at most `ROWS` documents of each, evenly spaced too.
So the page costs the same behind a hundred thousand documents and behind a billion; it says how many it saw.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus import signals
from corpus.errors import CorruptShard
from corpus.io import storage, table
from corpus.linguistic.thresholds import ALWAYS, Bounds, table_for
from corpus.semantic.perplexity import HEAD, MIDDLE
from pipelines.config.recipe import Recipe
from pipelines.engine.shard_ref import ShardRef
from pipelines.stages.filter.verdicts import verdict_parameters

SHARDS, ROWS = 48, 4096
BINS = 32
_TAIL = 0.005  # of the documents on either side that are put into the first and the last bin


def distributions(recipe: Recipe, shards: Sequence[ShardRef]) -> dict[str, Any] | None:
    """By language, a histogram of every signal, those that have a bound first; None where nothing was measured.

    `buckets` has for each language with a perplexity the shares of CCNet's head, middle and tail.
    """
    chosen = [shards[index] for index in _spaced(len(shards), SHARDS)]
    values: dict[tuple[str, str], list[npt.NDArray[np.float64]]] = {}
    documents = sum(_read(recipe.root, shard, recipe.filter.languages, values) for shard in chosen)
    if not values:
        return None
    tables = verdict_parameters(recipe.filter).bounds
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
    seen = {"documents": documents, "shards": len(chosen), "all_shards": len(shards)}
    return seen | {"languages": found, "buckets": buckets}


def _spaced(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` numbers below `count`, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _read(root: str, shard: ShardRef, languages: tuple[str, ...], values: dict[tuple[str, str], list[Any]]) -> int:
    """Add the values of a shard's signals; the number of its documents. A table made for others counts as absent."""
    try:
        documents = table.read_table(storage.join(root, shard.below("documents")), ["id", "language"])
    except (OSError, CorruptShard):
        return 0
    rows = _spaced(len(documents), ROWS)
    of = documents["language"].take(rows).to_numpy(zero_copy_only=False)
    for name in signals.TABLES:
        columns = [signal.name for signal in signals.REGISTRY.values() if signal.table == name]
        try:
            found = table.read_table(storage.join(root, shard.below(name)))
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
