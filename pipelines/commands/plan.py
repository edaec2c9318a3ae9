"""`headwater plan`: what of a recipe's phases is done, what is to do and what it will cost; nothing is run."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table

from corpus.io import storage
from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.commands.tables import print_table
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe
from pipelines.engine import pipeline
from pipelines.engine.pipeline import StagePlan
from pipelines.engine.progress import human_bytes
from pipelines.engine.stage import Counts
from pipelines.engine.stamps import add_counts
from pipelines.results.estimate import PAGES_PER_FILE, Cost, cost, human_hours, measured, total
from pipelines.stages import stages_of


@dataclass
class Row:
    """What is known of a stage or of a phase; `more` where shards are still to be added, which nothing says yet."""

    name: str
    phase: str
    shards: int = 0
    done: int = 0
    to_do: int = 0
    more: bool = False
    planned: bool = True  # else the shards are those that the recipe expects
    documents: int = 0
    bytes: int = 0
    costs: tuple[Cost | None, ...] = ()

    def cells(self) -> list[str]:
        """The cells of the table."""
        return [
            self.name,
            ("" if self.planned or not self.shards else "~") + self._number(self.shards),
            f"{self.done:,}",
            self._number(self.to_do),
            f"{self.documents:,}" if self.documents else "",
            human_bytes(self.bytes) if self.bytes else "",
            human_hours(total(self.costs)) if total(self.costs) else "",
        ]

    def _number(self, count: int) -> str:
        return f"{count:,}{'+' if self.more else ''}" if count or not self.more else "?"


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "plan",
        help="a recipe's phases and shards: what is done, what is to do",
        epilog="Example: headwater plan recipes/deepseek-llm.yaml",
    )
    add_recipe_arguments(parser)
    parser.add_argument("--detail", action="store_true", help="show every stage, not only the phases")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; dumps whose lists are out of reach are counted as the recipe expects them, after a short wait."""
    os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")
    recipe = recipe_from(arguments)
    runs = measured(recipe.root)
    files = (item.files_per_shard for item in recipe.inputs if isinstance(item, CrawlInput))
    pages = PAGES_PER_FILE * max(files, default=0)
    plans = pipeline.plan(stages_of(recipe))
    expected = len(plans[0].tasks) or _expected_shards(recipe)  # the first stage makes the documents
    rows = [_row(planned, runs, expected, pages) for planned in plans]
    table = Table(title=f"{recipe.name}: {recipe.root}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    heading = "stage" if arguments.detail else "phase"
    for name in (heading, "shards", "done", "to do", "documents", "text", "cost"):
        table.add_column(name, justify="left" if name == heading else "right", no_wrap=True)
    for phase, stages in groupby(rows, lambda row: row.phase):
        for row in stages if arguments.detail else [_together(phase, list(stages))]:
            table.add_row(*row.cells())
        if arguments.detail:
            table.add_section()
    console = Console(soft_wrap=True, markup=False)
    print_table(console, table)
    costs = [item for row in rows for item in row.costs]
    if total(costs):
        bases = ", ".join(sorted({item.basis for item in costs if item}))
        console.print(f"to do, as far as it can be said: {human_hours(total(costs))} (by {bases})", highlight=False)
    if any(row.more for row in rows):
        console.print("+ and ?: more shards, whose number follows from earlier results", highlight=False)
    for planned in plans:
        if planned.why_not:  # only the first stage that cannot be planned has a reason of its own
            console.print(f"{planned.stage.name}: {planned.why_not}", highlight=False)
            break
    return 0


def _row(planned: StagePlan, runs: dict[str, tuple[float, int]], document_shards: int, pages: int) -> Row:
    """What is known of a stage."""
    stage, counts = planned.stage, Counts()
    row = Row(stage.name, stage.phase, planned=not planned.why_not)
    for found in planned.counts:
        add_counts(counts, found or {})
    row.documents, row.bytes = counts.get("documents", 0), counts.get("bytes", 0)
    row.shards, row.done = len(planned.tasks), sum(found is not None for found in planned.counts)
    if planned.why_not:
        shards = stage.expected_tasks(document_shards)
        row.shards, row.more = shards or 0, shards is None
        row.done = len(storage.list_files(stage.path(stage.folder), ".parquet")) if stage.folder else 0
        row.done = row.done if row.more else min(row.done, row.shards)
    row.to_do = max(0, row.shards - row.done)
    row.costs = (cost(stage.name, row.to_do, runs, pages),) if row.to_do else ()
    return row


def _together(phase: str, stages: Sequence[Row]) -> Row:
    """A phase: shards and costs of all its stages, documents and text of the last that counts them."""
    last = next((row for row in reversed(stages) if row.documents), stages[-1])
    return Row(
        phase,
        phase,
        sum(row.shards for row in stages),
        sum(row.done for row in stages),
        sum(row.to_do for row in stages),
        any(row.more for row in stages),
        all(row.planned for row in stages),
        last.documents,
        last.bytes,
        tuple(item for row in stages for item in row.costs),
    )


def _expected_shards(recipe: Recipe) -> int:
    """The document shards of all inputs where their lists cannot be read: as many as the recipe expects."""
    shards = 0
    for item in recipe.inputs:
        if isinstance(item, CrawlInput):
            files = min(item.files or item.expected_files or 0, item.expected_files or item.files or 0)
            shards += len(item.dumps) * -(-files // item.files_per_shard)
        else:
            shards += len(item.files)
    return shards
