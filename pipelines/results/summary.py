"""What a run says at its end, in a few lines: the deduplication rate by number of dumps, and what is left of it all."""

from itertools import groupby
from typing import Any

from pipelines.config.inputs import FilesInput
from pipelines.config.recipe import Recipe
from pipelines.results.outcome import read_if_there
from pipelines.results.sections import PAPER_TABLE_1

_UNUSED_SHOWN = 5  # rules of a kind that name no document


def summary(recipe: Recipe) -> list[str]:
    """The lines for what the root has, nothing for what it has not; a plain source is no point of the curve."""
    lines = []
    root = recipe.root
    plain = {item.name for item in recipe.inputs if isinstance(item, FilesInput)}
    if curve := read_if_there(root, "dedup/dedup_rate.json"):
        points = [point for point in curve["curve"] if point["dump"] not in plain]
        lines.append("removed as duplicates, by number of dumps (the paper's Table 1 in brackets):")
        lines += ["  " + "  ".join(_point(point) for point in points[at : at + 6]) for at in range(0, len(points), 6)]
        unused = [rule for rule, documents in curve.get("takedown", {}).items() if not documents]
        for kind, rules in groupby(unused, lambda rule: rule.split(":")[0]):
            lines += _unused(kind, list(rules))
    if plan := read_if_there(root, "mixture/tokens.json"):
        for kind in ("domain", "language"):
            parts = [f"{row[kind]} {row['tokens']:,} ({row['weight']:.1%})" for row in plan.get(f"{kind}s", [])]
            lines += [f"tokens by {kind} (weight in training): {', '.join(parts)}"] if parts else []
    if model := read_if_there(root, "train/manifest.json"):
        final = model["summary"]["bits_per_byte"]
        if figures := [f"{name} {value:.3f}" for name, value in sorted(final.items()) if value is not None]:
            lines.append("bits per byte: " + ", ".join(figures))
    return lines


def _unused(kind: str, rules: list[str]) -> list[str]:
    shown, more = rules[:_UNUSED_SHOWN], len(rules) - _UNUSED_SHOWN
    lines = [f"dedup.takedown: no document is named by {rule}; see how the documents spell it" for rule in shown]
    if more > 0:
        lines.append(
            f"dedup.takedown: nor by {more:,} more {kind}; dedup/dedup_rate.json has the number that each names"
        )
    return lines


def _point(point: dict[str, Any]) -> str:
    paper = PAPER_TABLE_1.get(point["dumps"])
    return f"{point['dumps']}: {point['rate']:.1%}" + (f" ({paper}%)" if paper else "")
