"""What changed thresholds would keep, from the columns alone: nothing is measured again and nothing is written.

Every shard is judged twice, by the recipe as it is and as it would be, with the verdict stage's own code. Documents
that would change sides are counted by language. For each changed bound those whose values lie nearest to it are kept as
examples, on both sides; only their texts are read.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus import signals
from corpus.errors import HeadwaterError
from corpus.linguistic.thresholds import Bounds, table_for
from pipelines.config.recipe import Recipe
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts
from pipelines.engine.stamps import add_counts
from pipelines.results.shards import RowRef, listed, read_rows, shards_in_order, shards_of
from pipelines.stages.filter.verdicts import (
    VerdictCounts,
    VerdictStage,
    count_verdicts,
    rules_of_inputs,
    verdict_parameters,
)

SNIPPET = 160  # characters of an example's text
CANDIDATES = 8  # per example, since the same page returns in every dump


@dataclass(frozen=True, order=True)
class Change:
    """One bound of one rule, before and after (None: no bound)."""

    language: str
    signal: str
    end: str  # min or max
    before: float | None
    after: float | None


@dataclass
class Example:
    """A document near a changed bound."""

    value: float
    kept_before: bool
    kept_after: bool
    url: str | None
    text: str


@dataclass
class Trial:
    """`before` and `after`: the verdict stage's counts; `gained`, `lost`: what changes sides, by language."""

    before: VerdictCounts = field(default_factory=VerdictCounts)
    after: VerdictCounts = field(default_factory=VerdictCounts)
    gained: dict[str, Counts] = field(default_factory=dict)
    lost: dict[str, Counts] = field(default_factory=dict)
    examples: dict[Change, dict[str, list[Example]]] = field(default_factory=dict)  # "within", "beyond" the new bound


def compare(before: Recipe, after: Recipe, examples: int = 3) -> Trial:
    """Judge every document by both recipes; raise HeadwaterError where the signals have not been measured."""
    root = before.root
    measured = {name for name in signals.TABLES if listed(root, name)}
    rules = rules_of_inputs(before)
    old, new = (VerdictStage(root, verdict_parameters(r.filter, measured), rules) for r in (before, after))
    changes = list(_changes(old, new))
    trial = Trial()
    nearest: dict[tuple[Change, str], list[tuple[float, RowRef, float, bool, bool]]] = {}
    for shard in shards_of(root, "documents", shards_in_order(before)):
        applies = rules.get(shard.dump, "auto")
        (_, was), (joined, would) = (_judged(stage, shard, applies) for stage in (old, new))
        languages, lengths = joined["language"].to_pylist(), joined["length"].to_numpy()
        kept, keeps = was["keep"].to_numpy(), would["keep"].to_numpy()
        add_counts(trial.before, count_verdicts(was, languages, lengths))
        add_counts(trial.after, count_verdicts(would, languages, lengths))
        names = np.array(languages, object)
        for moved, mask in ((trial.gained, keeps & ~kept), (trial.lost, kept & ~keeps)):
            for language in sorted(set(names[mask])):
                rows = mask & (names == language)
                add_counts(moved, {language: {"documents": int(rows.sum()), "bytes": int(lengths[rows].sum())}})
        for change in changes:
            if applies == "none" or change.signal not in joined.column_names:
                continue
            judged = np.full(len(names), applies == change.language) if applies != "auto" else names == change.language
            if change.language == "default" and applies == "auto":
                judged = ~np.isin(names, list(new.parameters.tables))
            values = joined[change.signal].to_numpy()
            _keep_nearest(nearest, change, values, judged, kept, keeps, shard, CANDIDATES * examples)
    if not trial.before:
        raise HeadwaterError(f"{root}: nothing has been extracted here yet; run the recipe first")
    texts = _texts(root, {found[1] for rows in nearest.values() for found in rows})
    for (change, side), rows in sorted(nearest.items(), key=lambda item: item[0]):
        trial.examples.setdefault(change, {})[side] = [
            Example(value, kept, keeps, *texts[ref]) for _, ref, value, kept, keeps in _different(rows, texts)
        ][:examples]
    return trial


def _judged(stage: VerdictStage, shard: ShardRef, rules: str) -> tuple[pa.Table, pa.Table]:
    try:
        return stage.judge(shard, rules)
    except FileNotFoundError:
        raise HeadwaterError(
            f"{stage.path(str(shard))}: not every table of signals is there; run the recipe with --until filter first"
        ) from None


def _changes(old: VerdictStage, new: VerdictStage) -> Iterator[Change]:
    before_tables, after_tables = old.parameters.bounds, new.parameters.bounds
    for language in sorted({*before_tables, *after_tables}):
        was, would = table_for(language, before_tables), table_for(language, after_tables)
        for signal in sorted({*was, *would}):
            pairs = zip(Bounds._fields, was.get(signal, Bounds()), would.get(signal, Bounds()))
            for end, before, after in pairs:
                if before != after:
                    yield Change(language, signal, end, before, after)


def _keep_nearest(
    nearest: dict[tuple[Change, str], list[Any]],
    change: Change,
    values: npt.NDArray[Any],
    judged: npt.NDArray[np.bool_],
    kept: npt.NDArray[np.bool_],
    keeps: npt.NDArray[np.bool_],
    shard: ShardRef,
    count: int,
) -> None:
    """Keep the documents nearest to the bound on each side; a bound that is dropped is looked at where it was.

    What other rules drop anyway comes after all else.
    """
    bound = change.after if change.after is not None else change.before
    assert bound is not None
    below = values < np.asarray(bound, values.dtype if values.dtype.kind == "f" else np.float64)
    within = ~below if change.end == "min" else values <= bound
    for side, mask in (("within", within), ("beyond", ~within)):
        rows = np.flatnonzero(mask & judged & ~np.isnan(values.astype(np.float64)))
        distance = np.abs(values[rows].astype(np.float64) - bound) + np.where(kept[rows] | keeps[rows], 0.0, 1e12)
        for i in np.lexsort((rows, distance))[:count]:
            row = int(rows[i])
            found = (-float(distance[i]), RowRef(shard, row), float(values[row]), bool(kept[row]), bool(keeps[row]))
            heap = nearest.setdefault((change, side), [])
            heapq.heappush(heap, found)
            if len(heap) > count:
                heapq.heappop(heap)


def _different(rows: list[Any], texts: Mapping[RowRef, tuple[str | None, str]]) -> list[Any]:
    """Nearest first, and of those with one text the first."""
    found: dict[str, Any] = {}
    for row in sorted(rows, key=lambda row: (-row[0], row[1])):
        found.setdefault(texts[row[1]][1], row)
    return list(found.values())


def _texts(root: str, refs: set[RowRef]) -> dict[RowRef, tuple[str | None, str]]:
    rows = read_rows(root, "documents", sorted(refs), ["url", "text"])
    return {ref: (row["url"], " ".join(row["text"][: 4 * SNIPPET].split())[:SNIPPET]) for ref, row in rows.items()}
