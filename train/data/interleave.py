"""Which domain gives the next sample: weights kept exact, not on average.

Drawing domains at random keeps weights only in the long run; a short training run, or one batch, can be far off. Here
the sequence of domains is fixed and as even as possible. Weights are rounded to shares of a period of 65,536 samples.
The period is filled by Tijdeman's algorithm for the chairman assignment problem (Discrete Mathematics 32, 1980). He
proves that after any k samples each domain has had its share of k to within less than one sample. All samples have the
same number of tokens, so the same holds for tokens. The period is the only table: 65,536 entries, for a run of any
length.

Weights may change at a stated sample: a `Phase` starts where the last one ended, and each domain continues its own
order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import njit

from corpus.errors import UsageError
from corpus.kernels.types import I32, I64

PERIOD = 1 << 16  # weights are exact to half of 1/65,536; a power of two keeps the shares exact in binary


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Weights of the domains from a sample on (`start`, 0 for the first phase). They need not sum to one."""

    weights: tuple[float, ...]
    start: int = 0


def shares(weights: Sequence[float], period: int = PERIOD) -> I64:
    """Whole shares of the period by the largest remainder; a domain of positive weight gets at least one.

    Raises UsageError for weights that are negative, not finite or all zero.
    """
    exact = np.asarray(weights, np.float64)
    if exact.size == 0 or not np.isfinite(exact).all() or (exact < 0).any() or exact.sum() <= 0:
        raise UsageError(
            f"mixture weights {list(weights)}: give each domain a weight of 0 or more, and one of them more than 0"
        )
    exact = exact / exact.sum() * period
    result = np.where(exact > 0, np.maximum(1, np.floor(exact)), 0).astype(np.int64)
    for _ in range(abs(int(period - result.sum()))):
        missing = result.sum() < period
        error = np.where(result > (0 if missing else 1), exact - result, -np.inf if missing else np.inf)
        result[np.argmax(error) if missing else np.argmin(error)] += 1 if missing else -1
    return result


@njit(cache=True)
def _fill(share: I64, period: int) -> tuple[I32, I64]:
    """Tijdeman's sequence: the domain of each slot, and how often it came before in the period."""
    domains = np.empty(period, np.int32)
    ranks = np.empty(period, np.int64)
    given = np.zeros(share.size, np.int64)
    present = 0
    for amount in share:
        present += amount > 0
    slack = 2 * max(present, 2) - 2
    for slot in range(period):
        best, best_due, best_share = -1, 0, 1
        for domain in range(share.size):
            if share[domain] == 0:
                continue
            lag = share[domain] * (slot + 1) - given[domain] * period
            if lag * slack < period:  # not yet behind by 1/slack of a sample
                continue
            due = (period * slack - period) - lag * slack  # how soon it would be a whole sample behind, over its share
            if best < 0 or due * best_share < best_due * share[domain]:
                best, best_due, best_share = domain, due, share[domain]
        domains[slot] = best
        ranks[slot] = given[best]
        given[best] += 1
    return domains, ranks


class Interleave:
    """The sequence of domains of a run: for sample k, its domain and its number among that domain's samples."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        """Raise UsageError where phases do not start at 0, do not ascend, or differ in their number of domains."""
        starts = [phase.start for phase in phases]
        if not starts or starts[0] != 0 or any(b <= a for a, b in pairwise(starts)):
            raise UsageError(
                f"mixture phases start at samples {starts}: the first must start at 0, and each later than the last"
            )
        if len({len(phase.weights) for phase in phases}) != 1:
            raise UsageError(
                "mixture phases must give a weight for the same domains; use 0 for a domain that is left out"
            )
        self.phases = tuple(phases)
        self.num_domains = len(phases[0].weights)
        self._starts = np.array(starts, np.int64)
        self.shares = [shares(phase.weights) for phase in phases]  # of each phase, int64[domains]
        self._tables = [_fill(share, PERIOD) for share in self.shares]
        base = [np.zeros(self.num_domains, np.int64)]
        for number, (start, end) in enumerate(pairwise(starts)):
            base.append(base[-1] + self._within(number, end - start))
        self._base = base

    def locate(self, samples: I64) -> tuple[I32, I64]:
        """For sample numbers (int64[n]): the domain (int32[n]) and the number among the domain's samples (int64[n])."""
        domains = np.empty(samples.size, np.int32)
        numbers = np.empty(samples.size, np.int64)
        phases = np.searchsorted(self._starts, samples, side="right") - 1
        for phase in np.unique(phases):
            here = phases == phase
            periods, slots = np.divmod(samples[here] - self._starts[phase], PERIOD)
            table, ranks = self._tables[phase]
            domain = table[slots]
            domains[here] = domain
            numbers[here] = self._base[phase][domain] + periods * self.shares[phase][domain] + ranks[slots]
        return domains, numbers

    def counts(self, samples: int) -> I64:
        """How many of the first `samples` samples each domain gives (int64[domains])."""
        phase = int(np.searchsorted(self._starts, samples, side="right")) - 1
        counted: I64 = self._base[phase] + self._within(phase, samples - int(self._starts[phase]))
        return counted

    def _within(self, phase: int, length: int) -> I64:
        periods, rest = divmod(length, PERIOD)
        table = self._tables[phase][0]
        return periods * self.shares[phase] + np.bincount(table[:rest], minlength=self.num_domains)
