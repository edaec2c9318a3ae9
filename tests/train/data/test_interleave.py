"""Weights hold after every sample, not on average."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import UsageError
from train.data.interleave import PERIOD, Interleave, Phase, shares

positive = st.floats(1e-6, 1e6)


@settings(deadline=None, max_examples=25)
@given(st.lists(positive, min_size=1, max_size=12))
def test_each_domain_is_within_one_sample_of_its_share(weights: list[float]) -> None:
    domains, numbers = Interleave([Phase(weights=tuple(weights))]).locate(np.arange(PERIOD))
    share = shares(weights)
    given_so_far = np.cumsum(domains[:, None] == np.arange(len(weights)), axis=0)
    due = np.arange(1, PERIOD + 1)[:, None] * share / PERIOD
    assert np.abs(given_so_far - due).max() < 1
    for domain in range(len(weights)):
        assert np.array_equal(numbers[domains == domain], np.arange(share[domain]))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20).filter(lambda w: sum(w) > 0))
def test_shares_fill_the_period(weights: list[float]) -> None:
    share = shares(weights)
    exact = np.array(weights) / sum(weights) * PERIOD
    assert share.sum() == PERIOD
    assert ((share > 0) == (exact > 0)).all()
    assert (np.abs(share - exact) < len(weights) + 1).all()


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.tuples(st.integers(1, 200_000), st.tuples(positive, positive, positive)), min_size=0, max_size=3),
    st.integers(0, 700_000),
)
def test_counts_and_numbers_go_on_through_phases(later: list[tuple[int, tuple[float, ...]]], until: int) -> None:
    starts = np.cumsum([0, *(length for length, _ in later)])
    phases = [Phase(weights=(1, 2, 3))] + [
        Phase(weights=weights, start=int(start)) for start, (_, weights) in zip(starts[1:], later)
    ]
    interleave = Interleave(phases)
    domains, numbers = interleave.locate(np.arange(until))
    assert np.array_equal(interleave.counts(until), np.bincount(domains, minlength=3))
    for domain in range(3):
        mine = numbers[domains == domain]
        assert np.array_equal(mine, np.arange(len(mine)))


def test_any_order_of_asking() -> None:
    interleave = Interleave([Phase(weights=(0.7, 0.2, 0.1)), Phase(weights=(0, 1, 1), start=1000)])
    samples = np.random.default_rng(0).integers(0, 10**9, 5000)
    domains, numbers = interleave.locate(samples)
    for sample, domain, number in zip(samples[:200], domains, numbers):
        one_domain, one_number = interleave.locate(np.array([sample]))
        assert (one_domain[0], one_number[0]) == (domain, number)


@pytest.mark.parametrize("weights", [(), (0.0, 0.0), (-1.0, 2.0), (float("nan"),), (float("inf"), 1.0)])
def test_impossible_weights_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="weight"):
        shares(weights)


def test_impossible_phases_are_refused() -> None:
    with pytest.raises(UsageError, match="start at 0"):
        Interleave([Phase(weights=(1,), start=5)])
    with pytest.raises(UsageError, match="later than"):
        Interleave([Phase(weights=(1,)), Phase(weights=(1,), start=10), Phase(weights=(1,), start=10)])
    with pytest.raises(UsageError, match="same domains"):
        Interleave([Phase(weights=(1,)), Phase(weights=(1, 1), start=10)])
