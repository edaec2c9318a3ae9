"""The curves of a quality judge: what it does on texts it had not seen."""

from typing import Any

from markupsafe import Markup

from pipelines.report.charts import Line, line_chart


def judge_charts() -> dict[str, Any]:
    """What the section's template draws a quality judge's curves with."""
    return {"roc_chart": _roc, "precision_chart": _precision, "calibration_chart": _calibration}


def _roc(held_out: dict[str, Any]) -> Markup:
    curve = [(0.0, 0.0), *((x, y) for x, y in held_out["roc"])]
    chance = Line("chance", [(0.0, 0.0), (1.0, 1.0)], "tone-4", dashed=True, markers=False)
    return _unit([chance, Line("judge", curve, "tone-1", markers=False)], "ROC curve", "share of negatives kept")


def _precision(held_out: dict[str, Any]) -> Markup:
    points = sorted((recall, precision) for recall, precision in held_out["precision_recall"])
    return _unit([Line("judge", points, "tone-2", markers=False)], "Precision by recall", "recall")


def _calibration(held_out: dict[str, Any]) -> Markup:
    points = [(part["mean"], part["positive"]) for part in held_out["reliability"]]
    ideal = Line("as it should be", [(0.0, 0.0), (1.0, 1.0)], "tone-4", dashed=True, markers=False)
    return _unit([ideal, Line("judge", points, "tone-3")], "Calibration", "score")


def _unit(lines: list[Line], label: str, x_title: str) -> Markup:
    """A chart of shares over shares."""
    return line_chart(
        lines, label=label, x_title=x_title, y_format=lambda y: f"{y:.0%}", x_format=lambda x: f"{x:.0%}", top=1.0
    )
