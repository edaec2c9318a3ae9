"""`headwater plan`: a recipe's stages and shards, what is done and what is to do, without doing anything."""

import argparse
import os

from rich.console import Console
from rich.table import Table

from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.engine import pipeline
from pipelines.engine.outputs import add_counts
from pipelines.engine.progress import human_bytes
from pipelines.engine.stage import Counts
from pipelines.estimate import estimates
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
    """Print the plan; a dump whose list is out of reach is counted as the recipe expects it, after a short wait."""
    os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")
    recipe = recipe_from(arguments)
    stages = stages_of(recipe, offline=True)
    console = Console(soft_wrap=True)
    table = Table(title=f"{recipe.name}: {recipe.root}", title_justify="left")
    for heading, justify in (("stage", "left"), ("shards", "right"), ("done", "right"), ("to do", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("documents done", justify="right")
    table.add_column("note")
    for planned in pipeline.plan(stages):
        done: Counts = {}
        for counts in planned.counts:
            add_counts(done, counts or {})
        number = sum(counts is not None for counts in planned.counts)
        documents = f"{done.get('documents', 0):,} ({human_bytes(done.get('bytes', 0))})" if number else ""
        if planned.why_not:
            table.add_row(planned.stage.name, "?", "", "", "", planned.why_not)
        else:
            total = len(planned.tasks)
            table.add_row(planned.stage.name, f"{total:,}", f"{number:,}", f"{total - number:,}", documents, "")
    console.print(table)
    for line in estimates(recipe):
        console.print(line, highlight=False)
    return 0
