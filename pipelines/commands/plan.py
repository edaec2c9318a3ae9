"""`headwater plan`: a recipe's stages and shards, what is done, what is to do and what it will cost; nothing is run."""

import argparse
import os

from rich import box
from rich.console import Console
from rich.table import Table

from corpus.io import storage
from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe
from pipelines.engine import pipeline
from pipelines.engine.progress import human_bytes
from pipelines.engine.stage import Counts
from pipelines.engine.stamps import add_counts
from pipelines.results.estimate import PAGES_PER_FILE, Cost, cost, human_hours, measured, total
from pipelines.stages import stages_of


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "plan",
        help="a recipe's stages and shards: what is done, what is to do",
        epilog="Example: headwater plan recipes/deepseek-llm.yaml",
    )
    add_recipe_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; dumps whose lists are out of reach are counted as the recipe expects them, after a short wait."""
    os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")
    recipe = recipe_from(arguments)
    runs = measured(recipe.root)
    table = Table(title=f"{recipe.name}: {recipe.root}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("stage", "shards", "done", "to do", "documents", "text", "cost"):
        table.add_column(heading, justify="left" if heading == "stage" else "right", no_wrap=True)
    costs: list[Cost | None] = []
    notes: list[str] = []
    expected = _expected_shards(recipe)
    pages = max(
        (PAGES_PER_FILE * item.files_per_shard for item in recipe.inputs if isinstance(item, CrawlInput)), default=0
    )
    unplanned = False  # only the first stage that cannot be planned has a reason of its own
    for planned in pipeline.plan(stages_of(recipe)):
        done: Counts = {}
        for counts in planned.counts:
            add_counts(done, counts or {})
        finished = sum(counts is not None for counts in planned.counts)
        shards: int | None = len(planned.tasks)
        if planned.why_not:
            shards = planned.stage.expected_tasks(expected)
            folder = planned.stage.folder
            finished = len(storage.list_files(planned.stage.path(folder), ".parquet")) if folder else 0
            if not unplanned:
                notes.append(f"{planned.stage.name}: {planned.why_not}")
            unplanned = True
        to_do = None if shards is None else max(0, shards - finished)
        costs.append(cost(planned.stage.name, to_do, runs, pages) if to_do else None)
        table.add_row(
            planned.stage.name,
            "?" if shards is None else f"{'~' if planned.why_not else ''}{shards:,}",
            f"{finished:,}",
            "?" if to_do is None else f"{to_do:,}",
            f"{done['documents']:,}" if done.get("documents") else "",
            human_bytes(done["bytes"]) if done.get("bytes") else "",
            human_hours(costs[-1].core_seconds) if costs[-1] else "",
        )
    console = Console(soft_wrap=True, markup=False)
    console.print(table)
    if total(costs):
        bases = ", ".join(sorted({item.basis for item in costs if item}))
        console.print(f"to do, as far as it can be said: {human_hours(total(costs))} (by {bases})", highlight=False)
    for note in notes:
        console.print(note, highlight=False)
    return 0


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
