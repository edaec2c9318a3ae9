"""The drawings of the section on training: loss, validation, learning rate and gradient norm."""

from typing import Any

from markupsafe import Markup

from pipelines.report.charts import TONES, Line, line_chart


def training_charts(training: dict[str, Any] | None) -> dict[str, Any]:
    """What the section's template draws; nothing before training."""
    if training is None:
        return {}
    names = sorted({name for row in training["validation"] for name in row["bits_per_byte"]} - {"all"})
    lines = [
        Line(name, [(row["step"], row["bits_per_byte"][name]) for row in training["validation"]], TONES[index])
        for index, name in enumerate(names[: len(TONES)])
    ]
    if not names or len(names) > 1:
        overall = [(row["step"], overall_bits(row["bits_per_byte"])) for row in training["validation"]]
        lines.append(Line("all", overall, "tone-0", dashed=bool(names)))
    return {
        "loss_chart": _curve(training["loss"], "loss", "Training loss against steps"),
        "rate_chart": _curve(training.get("learning_rate", []), "learning_rate", "Learning rate against steps"),
        "norm_chart": _curve(training.get("grad_norm", []), "grad_norm", "Gradient norm before clipping"),
        "bits_chart": line_chart(lines, label="Bits per byte of held-out text", x_title="step", from_zero=False),
        "bits_rows": [(name, value, f"{value:.3f}") for name, value in sorted(training["final"].items())],
    }


def _curve(rows: list[dict[str, float]], name: str, label: str) -> Markup:
    points = [(row["step"], row[name]) for row in rows]
    line = Line(name, points, "tone-1", markers=len(points) <= 20)
    return line_chart([line], label=label, x_title="step", from_zero=name != "loss")


def overall_bits(figures: dict[str, float]) -> float:
    """Bits per byte over all domains: as measured, else the mean of the domains."""
    return figures["all"] if "all" in figures else sum(figures.values()) / len(figures)
