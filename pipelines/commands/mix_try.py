"""`headwater mix try`: several mixtures side by side, from the counts of a run; no text and no column is read."""

import argparse
import shlex
from typing import Any

import yaml
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Table

from corpus.errors import UsageError, nearest
from corpus.mixture.plan import METHODS
from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.commands.tables import print_table
from pipelines.config.recipe import Recipe
from pipelines.config.remix import RemixParameters
from pipelines.engine import pipeline
from pipelines.engine.progress import human_bytes
from pipelines.stages import stages_of
from pipelines.stages.domains import DomainSplits
from pipelines.stages.remix import counted_domains, mixture_parameters, plan_mixture

EXAMPLE = """\
examples:
  headwater mix try recipes/dumps.yaml natural unimax "temperature temperature=3"
  headwater mix try recipes/dumps.yaml "given weights.web-zh=0.3" "given weights.web-zh=0.3 epoch_cap=2 budget=1e9"

A plan is a method and settings of the recipe's section `remix`, which it starts from; the recipe's own plan comes
first. The run must have reached the stage `domains`: headwater run RECIPE --until domains
"""
_SETTINGS = ("weights", "temperature", "epoch_cap", "budget", "bytes_per_token", "cluster_weights")


def register(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "mix try",
        help="several mixtures side by side",
        description="Compute several mixtures of a run and print the weights and epochs of domains and languages.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help='such as unimax, or "temperature temperature=3"')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a row per domain and a row per language, with a column per plan."""
    recipe = recipe_from(arguments)
    counted = _counted(recipe)
    own = recipe.remix.model_copy(update={"budget": recipe.budget})
    sections = {"recipe": own, **{text: _section(own, text) for text in arguments.plans}}
    known = {*own.weights, *(name.split(".seen")[0] for name in counted)}
    for text, section in sections.items():
        for name in section.weights:
            if name not in known:
                raise UsageError(
                    f"plan `{text}`: no document has the domain {name}; {nearest(name, known, 'there are')}"
                )
    plans = {text: plan_mixture(counted, mixture_parameters(section)) for text, section in sections.items()}
    table = _table(plans)
    console = Console(soft_wrap=True, markup=False)
    print_table(console, table)
    for number, (text, plan) in enumerate(plans.items(), 1):
        met = "" if not plan["shortfall"] else f", short of it by {human_bytes(plan['shortfall'])} at the epoch cap"
        planned = f"{human_bytes(plan['planned'])} of {human_bytes(plan['budget'])}"
        console.print(f"{number} {text}: {planned}{met}", highlight=False, markup=False)
    return 0


def _counted(recipe: Recipe) -> DomainSplits:
    (planned,) = (one for one in pipeline.plan(stages_of(recipe, "domains")) if one.stage.name == "domains")
    missing = sum(counts is None for counts in planned.counts)
    if planned.why_not or missing or not planned.tasks:
        raise UsageError(
            f"{recipe.root}: the domains of this recipe are not all counted; run it with --until domains first"
        )
    return counted_domains([planned.stage.path(task.output) for task in planned.tasks])


def _section(own: RemixParameters, text: str) -> RemixParameters:
    """The recipe's section with a plan's method and settings."""
    method, *settings = shlex.split(text) or [""]
    if method not in METHODS:
        raise UsageError(f"plan `{text}`: begin with a method: {', '.join(METHODS)}")
    value = own.model_dump() | {"method": method} | ({} if method == "given" else {"weights": {}})
    for setting in settings:
        key, _, given = setting.partition("=")
        name, _, domain = key.partition(".")
        if name not in _SETTINGS or not given:
            raise UsageError(f"plan `{text}`: {setting} is no setting; write KEY=VALUE, with {', '.join(_SETTINGS)}")
        parsed = yaml.safe_load(given)
        if name == "budget":
            parsed = int(float(parsed))
        value[name] = {**value[name], domain: parsed} if domain else parsed
    try:
        return RemixParameters.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"plan `{text}`: {place} {first['msg'].removeprefix('Value error, ')}") from None


def _table(plans: dict[str, Any]) -> Table:
    """A row per domain, and below them a row per language: what there is, and for each plan what is read of it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("domain", "text", "natural", *map(str, range(1, len(plans) + 1))):
        table.add_column(heading, no_wrap=True, justify="left" if heading == "domain" else "right")
    for kind in ("domain", "language"):
        by_name = [{row[kind]: row for row in plan[f"{kind}s"]} for plan in plans.values()]
        for name in sorted({name for rows in by_name for name in rows}):
            first = next(rows[name] for rows in by_name if name in rows)
            cells = (_cell(rows[name]) if name in rows else "" for rows in by_name)
            table.add_row(name, human_bytes(first["bytes"]), f"{first['natural']:.1%}", *cells)
        table.add_section()
    table.caption = "weight × epochs; * held at the epoch cap"
    return table


def _cell(row: dict[str, Any]) -> str:
    epochs = row["epochs"]
    shown = f"{epochs:.2f}" if epochs >= 0.1 or not epochs else f"{epochs:.1g}"
    return f"{row['weight']:.1%} ×{shown}{'*' if row.get('capped') else ''}"
