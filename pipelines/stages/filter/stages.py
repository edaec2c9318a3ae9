"""Filtering in stages: some read the text and write tables of signals, `verdict` reads signals and writes verdicts.

`measure` writes the linguistic signals; other stages may stand between it and `verdict`, each with a table of its own
whose signals are in `corpus.signals`. A verdict joins those tables on whose signals there is a rule. A changed
threshold therefore recomputes verdicts, in seconds, and never a measurement. The rules of an input (its own language's,
one named table, or none) travel as an argument of each of its tasks, so that changing them for one source leaves the
verdicts of the others as they are.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus import signals
from corpus.errors import UsageError
from corpus.io import table
from corpus.linguistic import measure, verdict
from corpus.linguistic.thresholds import Bounds, override
from pipelines.config.filter import FilterParameters
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe
from pipelines.engine.stage import Counts, NoParameters, Stage, Task
from pipelines.stages.filter.annotate import annotate
from pipelines.stages.filter.decontaminate import decontaminate_stages
from pipelines.stages.filter.judges import score_stages
from pipelines.stages.filter.safety import safety_stages

QUALITY_SCHEMA = pa.schema([pa.field("id", pa.string()), *measure.SCHEMA])


class VerdictParameters(BaseModel):
    """What decides a verdict: the recipe's section with its thresholds laid over the built-in tables."""

    model_config = ConfigDict(frozen=True)
    languages: tuple[str, ...]
    language_score: float
    tables: dict[str, dict[str, tuple[float | None, float | None]]]  # language: signal: (min, max)


def filter_stages(root: str, recipe: Recipe) -> list[Stage]:
    """The stages of a recipe; they take documents from the stages planned before them.

    Raises UsageError where the recipe bounds a signal that none of them measures.
    """
    measuring: list[Stage] = [
        QualityStage(root, NoParameters()),
        *score_stages(root, recipe),
        *decontaminate_stages(root, recipe.decontaminate),
        *safety_stages(root, recipe.safety),
    ]
    parameters = verdict_parameters(recipe.filter, {stage.folder for stage in measuring})
    return [*measuring, VerdictStage(root, parameters, rules_of_inputs(recipe))]


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


class QualityStage(Stage[NoParameters]):
    """documents/dump=D/N.parquet -> quality/dump=D/N.parquet: id and a column a signal"""

    name: ClassVar[str] = "quality"
    version: ClassVar[int] = 2
    folder: ClassVar[str] = "quality"
    phase: ClassVar[str] = "filter"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard of documents."""
        return [
            self.task(task.output.replace("documents/", "quality/", 1), [task])
            for tasks in done.values()
            for task in tasks
            if task.output.startswith("documents/")
        ]

    def run(self, task: Task) -> Counts:
        """Measure a shard, a row group at a time."""

        def measured(documents: pa.Table, counts: Counts) -> pa.Table:
            columns = [documents["id"], *measure.measure(documents["text"]).columns]
            return pa.Table.from_arrays(columns, schema=QUALITY_SCHEMA)

        return annotate(self, task, QUALITY_SCHEMA, measured)


class VerdictStage(Stage[VerdictParameters]):
    """documents + tables of signals of dump=D/N.parquet -> verdicts/dump=D/N.parquet: id, keep, reasons"""

    name: ClassVar[str] = "verdicts"
    folder: ClassVar[str] = "verdicts"
    phase: ClassVar[str] = "filter"

    def __init__(self, root: str, parameters: VerdictParameters, rules: Mapping[str, str]) -> None:
        """`rules` says by dump or source which table applies: `auto`, a table's name or `none`; auto where unnamed."""
        super().__init__(root, parameters)
        self.rules = dict(rules)
        bounded = {signal for rules_of in parameters.tables.values() for signal in rules_of}
        known = [signal for signal in signals.REGISTRY.values() if signal.name in bounded]
        self.columns = {name: [signal.name for signal in known if signal.table == name] for name in signals.TABLES}

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard of documents for which every table is there that has a rule on it."""
        made = {task.output: task for tasks in done.values() for task in tasks}
        tasks = []
        for documents in (path for path in made if path.startswith("documents/")):
            shard = documents.removeprefix("documents/")
            needed = [f"{name}/{shard}" for name, columns in self.columns.items() if columns]
            if all(path in made for path in needed):  # else one of them had to be set aside
                rules = self.rules.get(partition_of(documents), "auto")
                inputs = [made[path] for path in [documents, *needed]]
                tasks.append(self.task(f"verdicts/{shard}", inputs, rules=rules))
        return tasks

    def run(self, task: Task) -> Counts:
        """Judge a shard; the counts say what was kept, by language, and how often each signal was a reason."""
        described, verdicts = self.judge(task.inputs, task.arguments["rules"])
        counts = count_verdicts(verdicts, described["language"].to_pylist(), described["length"].to_numpy())
        with table.ShardWriter(self.path(task.output), verdict.SCHEMA) as writer:
            writer.write(verdicts)
            writer.metadata = task.stamp(counts)
        return counts

    def judge(self, inputs: Sequence[str], rules: str) -> tuple[pa.Table, pa.Table]:
        """Join a shard of documents and its tables of signals; (id, language, score, length and signals; verdicts)."""
        joined = table.read_table(self.path(inputs[0]), ["id", "language", "language_score", "length"])
        columns = {"id": joined["id"]}
        for path in inputs[1:]:
            found = table.read_table(self.path(path), ["id", *self.columns[path.split("/", 1)[0]]])
            table.check_ids(found, joined, self.path(path))
            columns |= {name: found[name] for name in found.column_names}
        verdicts = verdict.judge(
            pa.table(columns),
            joined["language"].to_pylist(),
            joined["language_score"].to_numpy(),
            {name: {s: Bounds(*b) for s, b in of.items()} for name, of in self.parameters.tables.items()},
            rules,
            self.parameters.languages,
            self.parameters.language_score,
        )
        for name in list(columns)[1:]:
            joined = joined.append_column(name, columns[name])
        return joined, verdicts


def partition_of(path: str) -> str:
    """The dump or source of `.../dump=D/N.parquet`."""
    return path.split("dump=", 1)[1].split("/", 1)[0]


def count_verdicts(verdicts: pa.Table, languages: Sequence[str], lengths: np.ndarray) -> Counts:
    """Documents and bytes, all and kept, in total and by language; and for each signal the documents it failed."""
    keep = verdicts["keep"].to_numpy()
    reasons: dict[str, int] = {}
    for given in verdicts["reasons"].to_pylist():
        for signal in {reason.split(" ", 1)[0] for reason in given}:
            reasons[signal] = reasons.get(signal, 0) + 1
    of = np.array(languages, dtype=object)
    by_language = {name: _totals(keep[of == name], lengths[of == name]) for name in sorted(set(languages))}
    return {**_totals(keep, lengths), "reasons": dict(sorted(reasons.items())), "languages": by_language}


def _totals(keep: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    return {
        "documents": len(keep),
        "bytes": int(lengths.sum()),
        "kept": int(keep.sum()),
        "kept_bytes": int(lengths[keep].sum()),
    }
