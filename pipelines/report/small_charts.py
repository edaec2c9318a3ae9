"""The small drawings of the report's tables: a histogram per signal, and a spark line per site."""

from html import escape
from typing import Any

import numpy as np
from markupsafe import Markup

_WIDTH, _HEIGHT, _FLOOR = 220, 92, 72  # of a histogram, pixels; the floor is where its columns stand


def histogram(row: dict[str, Any]) -> Markup:
    """A histogram as inline SVG: what fails in the colour of warnings, a dashed line at each bound.

    The bins of a colour are one path, so that a page of a hundred histograms stays light.
    """
    most, width = max(row["counts"]) or 1, _WIDTH / len(row["counts"])
    low, high = row["low"], row["high"]
    bins = {"tone-1": "", "tone-2": ""}
    for index, count in enumerate(row["counts"]):
        middle = low + (index + 0.5) / len(row["counts"]) * (high - low)
        below = row["min"] is not None and middle < row["min"] and index + 1 < len(row["counts"])
        above = row["max"] is not None and middle > row["max"] and index > 0  # the first bin holds the bound itself
        if count:
            tall = max((_FLOOR - 4) * np.sqrt(count / most), 1.0)
            start = f"M{index * width:.1f} {_FLOOR}"
            bins["tone-2" if below or above else "tone-1"] += f"{start}v{-tall:.1f}h{width - 1:.1f}v{tall:.1f}z"
    parts = [f'<path class="fill {tone}" d="{path}"/>' for tone, path in bins.items() if path]
    for bound in (row["min"], row["max"]):
        if bound is not None:
            x = min(_WIDTH - 1.0, max(1.0, (bound - low) / (high - low) * _WIDTH))
            parts.append(f'<path class="stroke tone-2" stroke-dasharray="3 3" d="M{x:.1f} 0V{_FLOOR}"/>')
    ends = ((0, "start", low), (_WIDTH, "end", high))
    parts += [
        f'<text class="tick" x="{x}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{_figure(value)}</text>'
        for x, anchor, value in ends
    ]
    label = escape(f"{row['signal']}: {row['failed']:.1%} of documents outside its bounds")
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def spark(counts: list[int]) -> Markup:
    """Documents by tenth of their quality score as ten small columns; nothing where none was scored."""
    if not any(counts):
        return Markup("")
    tall = [round(16 * count / max(counts), 1) for count in counts]
    path = "".join(f"M{6 * index} 16v{-height}h5v{height}z" for index, height in enumerate(tall) if height)
    shown = ", ".join(f"{count:,}" for count in counts)
    return Markup(
        f'<svg class="spark" viewBox="0 0 60 16" role="img" aria-label="documents by tenth of quality: {shown}">'
        f'<title>{shown}</title><path class="fill tone-3" d="{path}"/></svg>'
    )
