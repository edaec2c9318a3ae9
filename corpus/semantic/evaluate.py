"""How good a judge is: ROC and precision-recall curves, their areas, and whether its probabilities are to be believed.

All figures are computed from scores and labels alone, exactly: ties share a point of a curve, the area under ROC is
the Mann-Whitney statistic. The area under precision-recall is average precision (the step function, not interpolated),
as scikit-learn defines them. A probability is calibrated if of the documents it gives 0.8, eight in ten are positive.
`reliability` compares the two in ten bins, and the expected calibration error (Naeini et al. 2015) is the mean
distance weighted by documents.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CURVE_POINTS = 101  # of a curve that is stored; areas are computed from all points
BINS = 10


class Curve(NamedTuple):
    """At each distinct score, from the highest: positives and negatives with at least that score (float64)."""

    thresholds: Floats
    true_positives: Floats
    false_positives: Floats


def curve(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> Curve:
    """Count positives and negatives from the highest score down; raises ValueError unless there are some of both."""
    if not positive.any() or positive.all():
        raise ValueError("a curve needs documents of both classes")
    order = np.argsort(-scores, kind="stable")
    ranked, labels = np.asarray(scores, np.float64)[order], positive[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    true = np.cumsum(labels)[last].astype(np.float64)
    return Curve(ranked[last], true, np.flatnonzero(last) + 1.0 - true)


def roc_auc(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> float:
    """The chance that a positive scores higher than a negative, ties counting half."""
    _, true, false = curve(scores, positive)
    return float(np.trapezoid(np.append(0.0, true) / true[-1], np.append(0.0, false) / false[-1]))


def average_precision(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> float:
    """Precision averaged over the positives, each at its own score."""
    _, true, false = curve(scores, positive)
    return float(np.sum(np.diff(true, prepend=0.0) / true[-1] * true / (true + false)))


def decision(keep: npt.NDArray[np.bool_], positive: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Precision, recall and F1 of keeping, and the share that is kept; 0 where there is nothing to divide by."""
    kept, right, wanted = int(keep.sum()), int((keep & positive).sum()), int(positive.sum())
    return {
        "precision": right / kept if kept else 0.0,
        "recall": right / wanted if wanted else 0.0,
        "f1": 2 * right / (kept + wanted) if kept + wanted else 0.0,
        "kept": kept / len(keep) if len(keep) else 0.0,
    }


def evaluate(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Everything about a judge whose scores are probabilities, as JSON-able values rounded to six digits."""
    thresholds, true, false = curve(scores, positive)
    precision, recall = true / (true + false), true / true[-1]
    f1 = 2 * true / (true + false + true[-1])
    chosen = np.unique(np.linspace(0, len(thresholds) - 1, CURVE_POINTS).round().astype(int))
    best = int(np.argmax(f1))
    bins = reliability(scores, positive)
    weights = np.array([part["documents"] for part in bins])
    distance = np.array([abs(part["mean"] - part["positive"]) for part in bins])
    return {
        "documents": len(positive),
        "positives": int(positive.sum()),
        "roc_auc": _round(roc_auc(scores, positive)),
        "average_precision": _round(average_precision(scores, positive)),
        "best_f1": {
            "threshold": float(thresholds[best]),
            **{name: _round(value) for name, value in decision(scores >= thresholds[best], positive).items()},
        },
        "at_half": {name: _round(value) for name, value in decision(scores >= 0.5, positive).items()},
        "calibration_error": _round(float(weights @ distance / weights.sum())),
        "reliability": bins,
        "roc": [[_round(false[i] / false[-1]), _round(recall[i])] for i in chosen],
        "precision_recall": [[_round(recall[i]), _round(precision[i])] for i in chosen],
    }


def reliability(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> list[dict[str, float]]:
    """For each tenth of the probabilities that occurs: documents, their mean probability, their share of positives."""
    of = np.minimum((np.asarray(scores) * BINS).astype(int), BINS - 1)
    return [
        {
            "documents": int((of == index).sum()),
            "mean": _round(float(np.mean(scores[of == index]))),
            "positive": _round(float(np.mean(positive[of == index]))),
        }
        for index in range(BINS)
        if (of == index).any()
    ]


class Platt(NamedTuple):
    """Calibration by a logistic curve over log-odds: 1 / (1 + exp(-(slope * log-odds + shift)))."""

    slope: float = 1.0
    shift: float = 0.0

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Calibrated probabilities; order is kept, since the slope is above 0."""
        return _logistic(self.slope * log_odds(probabilities) + self.shift).astype(np.float32)


def log_odds(probabilities: npt.NDArray[np.floating]) -> Floats:
    """log(p / (1 - p)) with p held within [1e-6, 1 - 1e-6]: fastText's float32 sums reach beyond both ends."""
    clipped = np.clip(np.asarray(probabilities, np.float64), 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def fit_platt(probabilities: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_], steps: int = 100) -> Platt:
    """Fit by Newton's method with Platt's (1999) targets, (n + 1) / (n + 2) and 1 / (n + 2), which keep a judge that is
    never wrong from being certain. Not calibrated (slope 1, shift 0) where a class is missing or order would turn."""
    count, wanted = len(positive), int(positive.sum())
    if wanted in (0, count):
        return Platt()
    target = np.where(positive, (wanted + 1) / (wanted + 2), 1 / (count - wanted + 2))
    x = np.stack([log_odds(probabilities), np.ones(count)], axis=1)
    weights = np.zeros(2)
    for _ in range(steps):
        guess = _logistic(x @ weights)
        slope = x.T @ (guess - target)
        curvature = (x * (guess * (1 - guess))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        weights -= step * min(1.0, 4.0 / (np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return Platt(float(weights[0]), float(weights[1])) if weights[0] > 0 else Platt()


def _logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _round(value: float) -> float:
    return round(float(value), 6)
