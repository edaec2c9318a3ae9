"""`headwater mix fit`: the mixture that small models of a run's own token shards ask for."""

import argparse
from typing import Any

from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Table

from corpus.errors import UsageError
from corpus.io import storage
from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.commands.train import by_domain
from pipelines.config.recipe import Recipe
from pipelines.engine import pipeline
from pipelines.stages import stages_of
from pipelines.stages.remix import TOKEN_PLAN
from pipelines.stages.train import require_torch
from train.settings import OPERATIONAL, TrainSettings

EXAMPLE = """\
examples:
  headwater mix fit recipes/sample.yaml --runs 12 --model nano --steps 100 --out data/sample/mixture/fit.json
  headwater mix fit recipes/dumps.yaml --target web-zh web-en --runs 24 --steps 500 --out fit.json
  headwater mix fit recipes/dumps.yaml --validation clean/domain=books clean/domain=news --out fit.json

The run must have reached the stage `tokens`: headwater run RECIPE --until tokens. Proxies are trained one after another
in FILE's name + .runs, with the recipe's `train` settings but for the model and the steps; the same command goes on
where it was stopped, and with more --runs adds to those there are. Nothing of the recipe's run is changed.
"""


def register(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "mix fit",
        help="weights fitted from proxy runs",
        description="Train small models on many mixtures of a run's domains, fit a data mixing law to their losses, "
        "and print the weights with the lowest predicted loss.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    parser.add_argument("--runs", type=int, metavar="N", help="proxies (default: 4 a domain)")
    parser.add_argument("--model", default="nano", metavar="NAME", help="of the proxies (default: nano)")
    parser.add_argument("--steps", type=int, default=200, metavar="N", help="of each proxy (default: 200)")
    parser.add_argument("--out", required=True, metavar="FILE", help="receives runs, law, error and weights as JSON")
    parser.add_argument("--target", nargs="+", metavar="DOMAIN", help="domains whose loss counts (default: all)")
    parser.add_argument(
        "--validation", nargs="+", metavar="DIR", help="folders of held-out token shards, instead of the run's own"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, fit, write, and print the weights as a recipe takes them."""
    require_torch()
    from train.proxies import Fitting

    recipe = recipe_from(arguments)
    corpus = _corpus(recipe, arguments)
    fewest = len(corpus.sizes) + 2
    runs = max(fewest, 4 * len(corpus.sizes)) if arguments.runs is None else arguments.runs
    if runs < fewest:
        raise UsageError(f"--runs {runs}: the law of {len(corpus.sizes)} domains needs {fewest} proxies or more")
    fitting = Fitting(
        f"{arguments.out}.runs",
        corpus,
        _settings(recipe, arguments),
        budget=recipe.budget or sum(corpus.sizes.values()),
        epoch_cap=recipe.remix.epoch_cap,
        runs=runs,
    )
    console = Console(soft_wrap=True, markup=False)
    for number in range(runs):
        proxy = fitting.train(number)
        console.print(f"proxy {number + 1}/{runs}: {_line(proxy.weights)} | {_line(proxy.bits_per_byte)}")
    result = fitting.result()
    storage.write_json(arguments.out, result)
    _show(console, result, arguments)
    return 0


def _corpus(recipe: Recipe, arguments: argparse.Namespace) -> Any:
    from train.proxies import Corpus

    if recipe.remix.cluster_weights:
        raise UsageError(
            "remix.cluster_weights: with it a domain is divided into classes that share its weight; fit without it, "
            "with --set remix.cluster_weights={} and a root of its own"
        )
    last = pipeline.plan(stages_of(recipe, "tokens"))[-1]
    if last.why_not or not last.tasks or any(counts is None for counts in last.counts):
        raise UsageError(f"{recipe.root}: the token shards of this recipe are not all made; run it with --until tokens")
    plan = storage.read_json(storage.join(recipe.root, TOKEN_PLAN))
    sizes = {domain["domain"]: domain["tokens"] for domain in plan["domains"] if domain["tokens"]}
    held_out = {name: storage.join(recipe.root, f"validation/domain={name}") for name in sorted(sizes)}
    targets = {name: path for name, path in held_out.items() if storage.exists(storage.join(path, "manifest.json"))}
    if arguments.validation:
        targets = by_domain(arguments.validation)
    if unknown := sorted(set(arguments.target or ()) - set(targets)):
        raise UsageError(f"--target {unknown[0]}: there is no held-out text of it; there is of {', '.join(targets)}")
    chosen = {name: path for name, path in targets.items() if not arguments.target or name in arguments.target}
    if not chosen:
        raise UsageError(
            f"{recipe.root}: no text is held out to measure on; set remix.validation above 0, or give --validation"
        )
    return Corpus({name: storage.join(recipe.root, f"tokens/domain={name}") for name in sizes}, sizes, chosen)


def _settings(recipe: Recipe, arguments: argparse.Namespace) -> TrainSettings:
    """The recipe's, but one process, one mixture, and no measurement before the last step."""
    base = (recipe.train or TrainSettings()).model_dump(exclude={*OPERATIONAL, "mixture_changes"})
    short = {"model": arguments.model, "steps": arguments.steps, "validate_every": max(1, arguments.steps)}
    short["warmup_steps"] = min(base["warmup_steps"], max(1, arguments.steps // 10))
    try:
        return TrainSettings.model_validate(base | short | {"validation_tokens": 1})
    except ValidationError as error:
        first = error.errors()[0]
        option = "".join(f"--{part} {first['input']}: " for part in first["loc"][:1])
        raise UsageError(f"{option}{first['msg'].removeprefix('Value error, ')}") from None


def _line(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _show(console: Console, result: dict[str, Any], arguments: argparse.Namespace) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("bits per byte", "natural, measured", "chosen, predicted", "chosen, measured", "error of the law"):
        table.add_column(heading, justify="left" if heading == "bits per byte" else "right")
    columns = [result["natural"]["bits_per_byte"], result["predicted"], result["measured"]]
    for name in result["law"]:
        error = f"{result['error'][name]['leave_one_out']:.4f}"
        table.add_row(name, *(f"{column[name]:.4f}" for column in columns), error)
    natural, predicted, measured = (sum(column.values()) / len(column) for column in columns)
    table.add_row("mean", *(f"{mean:.4f}" for mean in (natural, predicted, measured)), f"{result['mean_error']:.4f}")
    table.caption = "error: mean distance of a run from the law of the others"
    console.print(table)
    if natural - predicted <= result["mean_error"]:
        console.print(
            "what the law promises is within its own error: take more --runs or --steps before you believe it"
        )
    weights = ", ".join(f"{name}: {value}" for name, value in result["weights"].items())
    console.print(f"in the recipe:\n\nremix:\n  method: given\n  weights: {{{weights}}}\n", highlight=False)
    console.print(
        f"or once: headwater run {arguments.recipe} --set remix.method=given --set 'remix.weights={{{weights}}}'",
        highlight=False,
    )
