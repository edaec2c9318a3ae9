"""`verdicts`: bounds on signals decide whether each document is kept, and every failed rule is a reason.

A verdict joins those tables on whose signals there is a rule. So a changed threshold recomputes verdicts, in seconds,
and never a measurement. The rules of an input are its own language's, those of one named table, or none. They are an
argument of each of its tasks: changing them for one source leaves the verdicts of the others as they are.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus import signals
from corpus.errors import UsageError
from corpus.io import table
from corpus.linguistic import verdict
from corpus.linguistic.thresholds import Bounds, Table, override
from pipelines.config.filter import FilterParameters
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe
from pipelines.engine.shapes import ShardStage
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Task, Upstream
from pipelines.stages.kept import KeptCounts, count_kept


class VerdictCounts(KeptCounts, total=False):
    """What was kept, in all and by language, and for each signal how many documents failed it."""

    reasons: dict[str, int]
    languages: dict[str, KeptCounts]


class VerdictParameters(BaseModel):
    """What decides a verdict: the recipe's section with its thresholds laid over the built-in tables."""

    model_config = ConfigDict(frozen=True)
    languages: tuple[str, ...]
    language_score: float
    tables: dict[str, dict[str, tuple[float | None, float | None]]]  # language: signal: (min, max)

    @property
    def bounds(self) -> dict[str, Table]:
        """The tables of thresholds, by language."""
        return {name: {signal: Bounds(*pair) for signal, pair in rows.items()} for name, rows in self.tables.items()}


def rules_of_inputs(recipe: Recipe) -> dict[str, str]:
    """By dump or source, which table of thresholds applies: `auto`, a table's name or `none`."""
    return {
        name: item.rules
        for item in recipe.inputs
        for name in (item.dumps if isinstance(item, CrawlInput) else [item.name])
    }


def verdict_parameters(section: FilterParameters, measured: Collection[str] = signals.TABLES) -> VerdictParameters:
    """Resolve a recipe's section against the built-in tables; `measured` are the tables of signals that there will be.

    A built-in rule on a signal of another table is left out; one of the recipe's raises UsageError.
    """
    changes = {
        language: {signal: Bounds(bounds.min, bounds.max) if bounds else None for signal, bounds in rules.items()}
        for language, rules in section.thresholds.items()
    }
    for language, rules in changes.items():
        for signal in rules:
            if (needed := signals.find(signal).table) not in measured:
                raise UsageError(
                    f"filter.thresholds.{language}.{signal}: this run measures no table `{needed}`; "
                    f"name a model for it under `judges`, or leave the rule out"
                )
    tables = {
        language: {s: (b.min, b.max) for s, b in rules.items() if signals.find(s).table in measured}
        for language, rules in override(changes).items()
    }
    return VerdictParameters(languages=section.languages, language_score=section.language_score, tables=tables)


class VerdictStage(ShardStage[VerdictParameters]):
    """documents, tables of signals -> verdicts: id, keep, reasons"""

    name: ClassVar[str] = "verdicts"
    folder: ClassVar[str] = "verdicts"
    phase: ClassVar[str] = "filter"

    def __init__(self, root: str, parameters: VerdictParameters, rules: Mapping[str, str]) -> None:
        """`rules` says by dump or source which table applies: `auto`, a table's name or `none`; auto where unnamed."""
        super().__init__(root, parameters)
        self.rules = dict(rules)
        bounded = {signal for rules_of in parameters.tables.values() for signal in rules_of}
        self.columns = {
            name: columns
            for name in signals.TABLES
            if (columns := [s.name for s in signals.REGISTRY.values() if s.table == name and s.name in bounded])
        }
        self.reads = ("documents", *self.columns)  # a table of signals is called as the stage that makes it

    def arguments(self, shard: ShardRef, upstream: Upstream) -> dict[str, Any]:
        """The rules of the input."""
        return {"rules": self.rules.get(shard.dump, "auto")}

    def run(self, task: Task) -> VerdictCounts:
        """Judge a shard."""
        described, verdicts = self.judge(task.shard, task.arguments["rules"])
        counts = count_verdicts(verdicts, described["language"].to_pylist(), described["length"].to_numpy())
        return self.write(task, verdicts, counts)

    def judge(self, shard: ShardRef, rules: str) -> tuple[pa.Table, pa.Table]:
        """Join a shard of documents and its tables of signals; (id, language, score, length and signals; verdicts)."""
        joined = table.read_table(self.path(shard.below("documents")), ["id", "language", "language_score", "length"])
        measured = pa.table({"id": joined["id"]})
        for name, columns in self.columns.items():
            path = self.path(shard.below(name))
            found = table.read_table(path, ["id", *columns])
            table.check_ids(found, joined, path)
            for column in columns:
                measured = measured.append_column(column, found[column])
                joined = joined.append_column(column, found[column])
        verdicts = verdict.judge(
            measured,
            joined["language"].to_pylist(),
            joined["language_score"].to_numpy(),
            self.parameters.bounds,
            rules,
            self.parameters.languages,
            self.parameters.language_score,
        )
        return joined, verdicts


def count_verdicts(verdicts: pa.Table, languages: Sequence[str], lengths: npt.NDArray[np.integer]) -> VerdictCounts:
    """Documents and bytes, all and kept, in total and by language; and for each signal the documents it failed."""
    keep = verdicts["keep"].to_numpy()
    failed = ({reason.split(" ", 1)[0] for reason in given} for given in verdicts["reasons"].to_pylist())
    of = np.array(languages, dtype=object)
    total = count_kept(keep, lengths)
    return {
        **total,
        "reasons": dict(sorted(Counter(signal for given in failed for signal in given).items())),
        "languages": {name: count_kept(keep[of == name], lengths[of == name]) for name in sorted(set(languages))},
    }
