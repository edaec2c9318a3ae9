"""The S-curve: the probability that documents of a given similarity become candidates, and bands and rows chosen by it.

With `bands` bands of `rows` minima, documents of Jaccard similarity s agree in some whole band with probability
1 - (1 - s**rows)**bands. Every candidate is verified, so the parameters are chosen for recall: a loose curve costs
comparisons, a tight one lets duplicates through.
"""

import math

from corpus.errors import UsageError

CURVE_POINTS = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.77, 0.8, 0.85, 0.9, 0.95)


def match_probability(similarity: float, bands: int, rows: int) -> float:
    """The probability that two documents of this Jaccard similarity are candidates."""
    return 1 - (1 - similarity**rows) ** bands


def choose_bands(threshold: float, recall: float, noise: float = 0.2, most: int = 256) -> tuple[int, int]:
    """The (bands, rows) with the fewest minima that find pairs at `threshold` with probability `recall`.

    Pairs at half the threshold, which share boilerplate and no more, should be found with probability `noise` at most:
    each costs a comparison. Where no choice of at most `most` minima does both, the one that finds fewest of them is
    taken. Raises UsageError where none reaches the recall.
    """
    found: list[tuple[float, int, int, int]] = []
    for rows in range(1, most + 1):
        missed = 1 - threshold**rows
        if missed >= 1:
            break
        bands = math.ceil(math.log1p(-recall) / math.log(missed)) if missed > 0 else 1
        if bands * rows <= most:
            found.append((max(noise, match_probability(threshold / 2, bands, rows)), bands * rows, bands, rows))
    if not found:
        raise UsageError(
            f"no bands x rows of at most {most} minima find pairs at {threshold} with probability {recall}; "
            "ask for less recall, or a higher threshold"
        )
    return min(found)[2:]
