"""`headwater filter try`: what changed thresholds would keep of a run, from its columns, with examples."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from corpus.errors import UsageError
from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.config.recipe import Recipe
from pipelines.engine.progress import human_bytes
from pipelines.results.filter_try import Change, Trial, compare

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
    languages = sorted(trial.before["languages"], key=lambda name: -trial.before["languages"][name]["documents"])
    total = {"documents": sum(part["documents"] for part in trial.gained.values())}
    gone = {"documents": sum(part["documents"] for part in trial.lost.values())}
    rows = [("all", trial.before, trial.after, total, gone)]
    for name in languages:
        if trial.before["languages"][name]["kept"] or trial.after["languages"][name]["kept"]:
            parts = trial.before["languages"][name], trial.after["languages"][name]
            rows.append((name, *parts, trial.gained.get(name, {}), trial.lost.get(name, {})))
    for name, before, after, gained, lost in rows:
        more, less = gained.get("documents", 0), lost.get("documents", 0)
        print(f"{name:10} {before['documents']:12,} {_kept(before):>22} {_kept(after):>22} {more:+10,} {-less:+10,}")
    for change, sides in trial.examples.items():
        print(f"\n{change.language}.{change.signal}: {change.end} {_bound(change.before)} -> {_bound(change.after)}")
        for side, examples in sides.items():
            print(f"  {side} the bound of {_bound(_place(change))}, nearest first:")
            for example in examples:
                fate = (
                    f"{'kept' if example.kept_before else 'dropped'} -> {'kept' if example.kept_after else 'dropped'}"
                )
                print(f"    {example.value:<10.6g} {fate:18} {example.url or ''}\n      {example.text}")
    if not trial.examples:
        print("\nno threshold differs from the recipe's; change one with --set en.words.min=30")


def _kept(counts: Any) -> str:
    return f"{counts['kept']:,} ({human_bytes(counts['kept_bytes'])})"


def _place(change: Change) -> float | None:
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
