"""`headwater run`: every stage of a recipe that is not done, then the report."""

import argparse
import os
from pathlib import Path

from rich.console import Console

from corpus.errors import UsageError
from corpus.io import storage
from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe, builtin_recipe, load_recipe
from pipelines.engine import cluster, pipeline
from pipelines.engine.run_lock import only_run
from pipelines.report.page import draw_report
from pipelines.results.summary import summary
from pipelines.sample.build import build_sample
from pipelines.stages import stages_of


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "run",
        help="every stage of a recipe that is not done",
        description="Run every stage that is not done, then draw the report. One run at a time works on a root.",
        epilog="Example: headwater run recipes/dumps.yaml --until dedup --workers 2",
    )
    add_recipe_arguments(parser)
    phases = "extract, filter, dedup, passages, sites, remix, tokenizer, tokens"
    parser.add_argument("--until", metavar="PHASE", help=f"stop after this phase ({phases}) or this stage")
    parser.add_argument("--workers", metavar="N", type=int, help="CPUs of the embedded Ray (default: all; 0: no Ray)")
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        help="check every byte of finished shards, not only their stamps (default: yes on a disk, no on S3)",
    )
    parser.add_argument("--detail", action="store_true", help="tell of every stage, not only of the phases")
    parser.add_argument("--no-report", action="store_true", help="do not draw the report at the end")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the recipe; 1 where something was set aside."""
    recipe = recipe_from(arguments)
    stages = stages_of(recipe, until=arguments.until)
    if arguments.workers is not None and arguments.workers < 0:
        raise UsageError(f"--workers {arguments.workers}: should be 1 or more, or 0 for no Ray")
    make_sample(recipe)
    storage.prepare_root(recipe.root)
    verify = arguments.verify if arguments.verify is not None else storage.scheme(recipe.root) == "file"
    console = Console(soft_wrap=True, markup=False)
    with only_run(recipe.root):
        if arguments.workers == 0:
            results = pipeline.run(stages, console, verify, on_ray=False, detail=arguments.detail)
        else:
            with cluster.connected(arguments.workers):
                results = pipeline.run(stages, console, verify, detail=arguments.detail)
        pipeline.write_run(recipe.root, results)
    failed = [failure for result in results for failure in result.failed]
    for failure in failed:
        console.print(f"set aside: {failure['output']}: {failure['message']}", style="red", highlight=False)
    for line in summary(recipe):
        console.print(line, highlight=False)
    if not arguments.no_report:
        page = draw_report(recipe)
        shown = os.path.abspath(page) if storage.scheme(page) == "file" else page
        console.print(f"report: {shown}", highlight=False)
    return 1 if failed else 0


def make_sample(recipe: Recipe) -> None:
    """Make the small crawl that the recipe `sample` reads, where it is not there yet."""
    sample = load_recipe(str(builtin_recipe("sample")))
    (crawl,) = (item.crawl for item in sample.inputs if isinstance(item, CrawlInput))
    if recipe.name == sample.name and recipe.inputs == sample.inputs and not storage.exists(f"{crawl}/sample.json"):
        build_sample(Path(crawl), None, say=lambda line: print(line, flush=True))
