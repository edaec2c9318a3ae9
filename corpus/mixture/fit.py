"""A mixture fitted from proxy runs: small models say what a large one should read.

It is not known beforehand which shares of the domains give the lowest loss. But losses of small models, each trained a
short while on another mixture, follow a simple law of the shares. The best mixture of a small model is near that of
a large one (RegMix, Liu et al. 2024, arXiv 2407.01492). Three steps, of which this file has all but the training:

1. `design` draws mixtures about the natural one, none beyond the cap on epochs.
2. `fit` takes the losses that were measured and fits the data mixing law of Ye et al. 2024 (arXiv 2403.16952, equation
   1), L = c + k exp(sum_j t_j r_j), for each target: c is the loss that no mixture removes, t_j how fast a share of
   domain j lowers (below 0) or raises what is above it. As shares sum to 1, log k is one constant with the t_j and is
   added to each: L = c + exp(rates . shares).
3. `best_mixture` finds the shares with the lowest mean of predicted losses among the blends of what was trained. The
   law is convex in the shares, so there is one lowest value and descent finds it.

`leave_one_out` is the honest error: each run predicted by the law of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STRENGTHS = (0.1, 5.0)  # of the Dirichlet, log-uniform: from almost one domain to almost the natural mixture (RegMix)
FLATTENING = 0.5  # the power of natural shares about which is drawn, so that small domains get their turn (RegMix)
_FLOORS = 200  # values of c that are tried
_STEPS = 2_000  # of the descent, at most; it stops when nothing moves


@dataclass(frozen=True)
class Law:
    """The loss of one target: `floor + exp(rates . shares)`, in the unit of the losses it was fitted to."""

    floor: float
    rates: Floats

    def predict(self, shares: Floats) -> Floats:
        """The losses of mixtures: float64 [runs, domains] (or [domains]) to [runs] (or a number)."""
        return self.floor + np.exp(shares @ self.rates)


def design(natural: Floats, most: Floats, runs: int, seed: int) -> Floats:
    """Mixtures to train proxies on: float64 [runs, domains], each of sum 1; the first is the natural one.

    The others are drawn from Dirichlet distributions about a flattened natural mixture. What a draw gives a domain
    beyond `most` (its share at the cap on epochs) goes to the others. More runs begin with the same ones.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    centre = natural**FLATTENING / (natural**FLATTENING).sum()
    low, high = np.log(STRENGTHS)
    drawn = [natural]
    while len(drawn) < runs:
        alpha = np.exp(generator.uniform(low, high)) * centre * len(natural)
        drawn.append(generator.dirichlet(np.maximum(alpha, 1e-3)))
    return np.array([nearest_mixture(shares, most) for shares in drawn])


def nearest_mixture(point: Floats, most: Floats) -> Floats:
    """The mixture nearest to a point: shares of sum 1 from 0 to `most`; `most`, scaled, where its sum is below 1.

    The Euclidean projection: one number is taken from every share and the rest is clipped (found by bisection).
    """
    if most.sum() <= 1:
        return most / most.sum()
    low, high = (point - most).min() - 1, point.max()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(point - middle, 0, most).sum() > 1 else (low, middle)
    shares = np.clip(point - high, 0, most)
    return shares / shares.sum()


def fit(shares: Floats, losses: Floats) -> Law:
    """The law of a target: shares float64 [runs, domains], losses [runs].

    For a given floor the law is linear in the logarithm, log(L - c) = rates . r, solved by least squares with weights
    that undo the logarithm's distortion. Of many floors from just below the lowest loss down to 0, the one with the
    smallest squared error of L itself is taken. Raises ValueError for fewer runs than the law has parameters.
    """
    runs, domains = shares.shape
    if runs < domains + 1:
        raise ValueError(f"{runs} runs cannot fit a law of {domains} domains; {domains + 1} are the fewest")
    lowest = float(losses.min())
    span = max(float(np.ptp(losses)), 1e-9 * max(lowest, 1e-9))
    found, error = Law(0.0, np.zeros(domains)), np.inf
    for below in np.append(np.geomspace(1e-2 * span, max(lowest, 2e-2 * span), _FLOORS), lowest):
        above = losses - (lowest - below)
        rates = np.linalg.lstsq(shares * above[:, None], np.log(above) * above, rcond=1e-8)[0]
        law = Law(lowest - float(below), rates)
        squared = float(((law.predict(shares) - losses) ** 2).sum())
        if squared < error:
            found, error = law, squared
    return found


def leave_one_out(shares: Floats, losses: Floats) -> Floats:
    """Predicted less measured loss of each run by the law of the others: float64 [runs]. ValueError as from `fit`."""
    others = [np.arange(len(losses)) != run for run in range(len(losses))]
    return np.array([fit(shares[keep], losses[keep]).predict(shares[~keep])[0] - losses[~keep][0] for keep in others])


def best_mixture(laws: Sequence[Law], trained: Floats) -> Floats:
    """The shares with the lowest mean of predicted losses among all blends of the mixtures of the proxies.

    Outside of these (float64 [runs, domains]) the law was never tested: where no run leaves a domain out, it knows
    nothing of how much that costs. What is under the cap stays so in any blend. Projected gradient descent.
    """
    rates = np.array([trained @ law.rates for law in laws])
    runs = len(trained)

    def loss(blend: Floats) -> float:
        return float(np.exp(rates @ blend).mean())

    blend, step, most = np.full(runs, 1 / runs), 1.0, np.ones(runs)
    for _ in range(_STEPS):
        slope = rates.T @ np.exp(rates @ blend) / len(laws)
        trial = nearest_mixture(blend - step * slope, most)
        if loss(trial) < loss(blend):
            blend, step = trial, step * 2
        elif step < 1e-12:
            break
        else:
            step /= 2
    return blend @ trained
