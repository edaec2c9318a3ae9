"""`headwater filter try`: what changed thresholds would keep of a run, from its columns, with examples."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from corpus.errors import UsageError
from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.config.recipe import Recipe
from pipelines.engine.progress import human_bytes
from pipelines.engine.stage import Counts
from pipelines.results.filter_try import Change, Trial, compare
from pipelines.stages.kept import KeptCounts

EXAMPLE = """\
examples:
  headwater filter try sample --set en.words.min=30 --set zh.bracketed=off
  headwater filter try recipes/mine.yaml --set en.quality_score.min=0.6 --examples 5
  headwater filter try recipes/mine.yaml --set filter.language_score=0.65

Nothing is computed again and nothing is written. To make it so, put the same under filter.thresholds in the recipe.
"""


def register(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "filter try",
        help="what a changed threshold would keep",
        description="Judge the measured documents of a run by other thresholds: LANGUAGE.SIGNAL.min=N, .max=N or =off.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    parser.add_argument("--examples", type=int, default=3, metavar="N", help="documents each side (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what would be kept, by language, and documents on both sides of each changed bound."""
    given = [_written_out(setting) for setting in arguments.set]
    arguments.set = [setting for setting in given if not setting.startswith("filter.")]
    before = recipe_from(arguments)
    arguments.set = given
    trial = compare(before, recipe_from(arguments), arguments.examples)
    if arguments.json:
        print(json.dumps(_json(trial), ensure_ascii=False, indent=2))
    else:
        _print(trial)
    return 0


def _written_out(setting: str) -> str:
    """`en.words.min=30` is `filter.thresholds.en.words.min=30`; other keys are the recipe's."""
    key, equals, value = setting.partition("=")
    if not equals:
        raise UsageError(f"--set {setting}: write it as LANGUAGE.SIGNAL.min=N, LANGUAGE.SIGNAL.max=N or =off")
    if key.split(".")[0] in Recipe.model_fields:
        return setting
    return f"filter.thresholds.{key}={value}"


def _print(trial: Trial) -> None:
    print(f"{'language':10} {'documents':>12} {'kept':>22} {'would be kept':>22} {'gained':>10} {'lost':>10}")
    before, after = trial.before["languages"], trial.after["languages"]
    moved = [sum(part["documents"] for part in side.values()) for side in (trial.gained, trial.lost)]
    _print_row("all", trial.before, trial.after, *moved)
    for name in sorted(before, key=lambda name: -before[name]["documents"]):
        if before[name]["kept"] or after[name]["kept"]:
            nothing = Counts(documents=0)
            moved = [side.get(name, nothing)["documents"] for side in (trial.gained, trial.lost)]
            _print_row(name, before[name], after[name], *moved)
    for change, sides in trial.examples.items():
        print(f"\n{change.language}.{change.signal}: {change.end} {_bound(change.before)} -> {_bound(change.after)}")
        for side, examples in sides.items():
            print(f"  {side} the bound of {_bound(_looked_at(change))}, nearest first:")
            for example in examples:
                was, would = ("kept" if kept else "dropped" for kept in (example.kept_before, example.kept_after))
                print(f"    {example.value:<10.6g} {f'{was} -> {would}':18} {example.url or ''}\n      {example.text}")
    if not trial.examples:
        print("\nno threshold differs from the recipe's; change one with --set en.words.min=30")


def _print_row(name: str, before: KeptCounts, after: KeptCounts, more: int, less: int) -> None:
    print(f"{name:10} {before['documents']:12,} {_kept(before):>22} {_kept(after):>22} {more:+10,} {-less:+10,}")


def _kept(counts: KeptCounts) -> str:
    return f"{counts['kept']:,} ({human_bytes(counts['kept_bytes'])})"


def _looked_at(change: Change) -> float | None:
    return change.after if change.after is not None else change.before


def _bound(value: float | None) -> str:
    return "off" if value is None else f"{value:g}"


def _json(trial: Trial) -> dict[str, Any]:
    examples = [
        asdict(change) | {side: [asdict(example) for example in found] for side, found in sides.items()}
        for change, sides in trial.examples.items()
    ]
    parts = {name: getattr(trial, name) for name in ("before", "after", "gained", "lost")}
    return parts | {"examples": examples}
