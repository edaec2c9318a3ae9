"""Charts as inline SVG: lines, and columns. No script and no library; colours come from the page's style sheet.

Each chart is drawn twice, for a wide and a narrow screen, because text in a scaled picture becomes too small to read.
The style sheet shows one of the two. Everything that comes from data is escaped.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

Points = Sequence[tuple[float, float]]
WIDE, HALF, NARROW = (620, 330), (490, 270), (350, 260)  # as wide as the column they fill, so that text keeps its size
TONES = ("tone-1", "tone-2", "tone-3", "tone-4")  # colour classes of the style sheet
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 12, 44  # margins, pixels
_CHARACTER = 7.6  # width of a character of an axis label, pixels


@dataclass(frozen=True)
class Line:
    """A line of a chart. `tone` is a colour class of the style sheet."""

    name: str
    points: Points
    tone: str
    dashed: bool = False
    markers: bool = True


def both(draw: Callable[[int, int], str], size: tuple[int, int]) -> Markup:
    """The drawings of one chart for a wide and for a narrow screen."""
    return Markup(f'<div class="wide">{draw(*size)}</div><div class="narrow">{draw(*NARROW)}</div>')


def line_chart(
    lines: Sequence[Line],
    *,
    label: str,
    x_title: str,
    y_format: Callable[[float], str] = lambda value: f"{value:g}",
    x_format: Callable[[float], str] = lambda value: f"{value:,.0f}",
    logarithmic: bool = False,
    from_zero: bool = True,
    top: float | None = None,
    size: tuple[int, int] = HALF,
) -> Markup:
    """Lines over one x axis; `label` says in words what is seen. Lines without points are left out."""
    shown = [line for line in lines if line.points]
    xs = [x for line in shown for x, _ in line.points]
    ys = [y for line in shown for _, y in line.points]
    if not shown:
        return Markup("")
    low = 0.0 if from_zero else min(ys)
    y_ticks = nice_ticks(low, top if top is not None else max(ys))
    x_ticks = sorted(set(xs)) if logarithmic else nice_ticks(min(xs), max(xs))
    x_low, x_high = (min(xs), max(xs)) if logarithmic else (min(xs), max(*xs, x_ticks[0] + 1e-9))
    warp = math.log if logarithmic else float

    def draw(width: int, height: int) -> str:
        def x_of(value: float) -> float:
            span = warp(x_high) - warp(x_low)
            return LEFT + (width - LEFT - RIGHT) * ((warp(value) - warp(x_low)) / span if span else 0.5)

        def y_of(value: float) -> float:
            span = (y_ticks[-1] - y_ticks[0]) or 1.0
            return height - BOTTOM - (height - TOP - BOTTOM) * (value - y_ticks[0]) / span

        parts = [_grid(width, height, [(y_of(tick), y_format(tick)) for tick in y_ticks])]
        parts.append(_x_axis(width, height, [(x_of(t), x_format(t)) for t in x_ticks if x_low <= t <= x_high], x_title))
        for line in shown:
            pixels = [(x_of(x), y_of(y)) for x, y in line.points]
            path = " ".join(f"{'M' if not index else 'L'}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(pixels))
            dash = ' stroke-dasharray="5 4"' if line.dashed else ""
            parts.append(f'<path class="stroke {line.tone}" d="{path}"{dash}/>')
            if line.markers:
                parts += [
                    f'<circle class="fill {line.tone}" cx="{px:.1f}" cy="{py:.1f}" r="3.5"><title>'
                    f"{escape(line.name)}: {escape(x_format(x))} → {escape(y_format(y))}</title></circle>"
                    for (px, py), (x, y) in zip(pixels, line.points)
                ]
        return _svg(width, height, label, parts)

    return both(draw, size) + legend(shown)


def column_chart(
    items: Sequence[tuple[str, float]],
    *,
    label: str,
    x_title: str,
    tone: str = "tone-1",
    size: tuple[int, int] = HALF,
) -> Markup:
    """Vertical bars, one per named count."""
    if not items:
        return Markup("")
    ticks = nice_ticks(0.0, max(value for _, value in items))

    def draw(width: int, height: int) -> str:
        step = (width - LEFT - RIGHT) / len(items)
        floor, room = height - BOTTOM, height - TOP - BOTTOM
        parts = [_grid(width, height, [(floor - room * tick / (ticks[-1] or 1), compact(tick)) for tick in ticks])]
        for index, (name, value) in enumerate(items):
            tall = room * value / (ticks[-1] or 1)
            thick = min(step * 0.76, 56.0)
            parts.append(
                f'<rect class="fill {tone}" x="{LEFT + step * (index + 0.5) - thick / 2:.1f}" y="{floor - tall:.1f}" '
                f'rx="2" width="{thick:.1f}" height="{max(tall, 1.0 if value else 0.0):.1f}"><title>{escape(name)}: '
                f"{value:,.0f}</title></rect>"
            )
        names = [(LEFT + step * (index + 0.5), name) for index, (name, _) in enumerate(items)]
        parts.append(_x_axis(width, height, names, x_title))
        return _svg(width, height, label, parts)

    return both(draw, size)


def compact(count: float) -> str:
    """`1234567` -> `1.23M`; whole up to a hundred thousand."""
    for power, unit in ((12, "T"), (9, "B"), (6, "M"), (3, "k")):
        if count >= max(10**power, 100_000):
            return f"{count / 10**power:.3g}{unit}"
    return f"{count:,.0f}"


def legend(lines: Sequence[Line]) -> Markup:
    """The names of a chart's lines with their colours; nothing for a single line."""
    if len(lines) < 2:
        return Markup("")
    items = "".join(
        f'<li><i class="swatch {line.tone}{" dashed" if line.dashed else ""}"></i>{escape(line.name)}</li>'
        for line in lines
    )
    return Markup(f'<ul class="legend">{items}</ul>')


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, about `wanted` of them."""
    if high - low <= max(1e-12, 1e-9 * abs(low)):
        high = low + (abs(low) if abs(low) > 1e-9 else 1.0)
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 12) for index in range(first, last + 1)]


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(width: int, height: int, ticks: Sequence[tuple[float, str]]) -> str:
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>'
        for y, name in ticks
    )


def _x_axis(width: int, height: int, ticks: Sequence[tuple[float, str]], title: str) -> str:
    """The names below the axis; those that would touch the one before are left out."""
    parts, free = [], -math.inf
    for x, name in ticks:
        half = len(name) * _CHARACTER / 2
        if x - half > free:
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{height - BOTTOM + 17}" text-anchor="middle">{escape(name)}</text>'
            )
            free = x + half + 8
    middle = LEFT + (width - LEFT - RIGHT) / 2
    parts.append(f'<text class="title" x="{middle}" y="{height - 6}" text-anchor="middle">{escape(title)}</text>')
    return "".join(parts)
