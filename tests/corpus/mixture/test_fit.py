"""The data mixing law: what is fitted to losses of a known law is that law, and its lowest point is found."""

import numpy as np
import pytest

from corpus.mixture.fit import Law, best_mixture, design, fit, leave_one_out, nearest_mixture

NATURAL = np.array([0.7, 0.2, 0.1])
FREE = np.ones(3)
LAWS = [Law(1.2, np.array([-1.5, 0.4, 0.3])), Law(0.8, np.array([0.5, -2.0, 0.2]))]


def test_a_design_is_of_mixtures_under_the_cap() -> None:
    most = np.array([1.0, 0.8, 0.4])
    shares = design(NATURAL, most, 40, seed=3)
    assert np.allclose(shares.sum(1), 1)
    assert (shares >= 0).all()
    assert (shares <= most + 1e-9).all()
    assert np.allclose(shares[0], NATURAL)
    assert len(np.unique(shares.round(6), axis=0)) == 40
    assert (np.ptp(shares, axis=0) > 0.3).all(), "the draws reach far from the natural mixture"
    assert np.array_equal(design(NATURAL, most, 60, seed=3)[:40], shares), "more runs go on from fewer"
    assert not np.array_equal(design(NATURAL, most, 40, seed=4), shares)


def test_too_little_text_is_taken_whole() -> None:
    assert np.allclose(nearest_mixture(np.array([0.9, 0.1]), np.array([0.3, 0.1])), [0.75, 0.25])


@pytest.mark.parametrize("law", LAWS)
def test_the_law_is_recovered(law: Law) -> None:
    shares = design(NATURAL, FREE, 16, seed=0)
    found = fit(shares, law.predict(shares))
    elsewhere = design(NATURAL, FREE, 50, seed=1)
    assert np.abs(found.predict(elsewhere) - law.predict(elsewhere)).max() < 2e-3
    assert np.abs(leave_one_out(shares, law.predict(shares))).max() < 5e-3


def test_noise_shows_in_the_error() -> None:
    shares = design(NATURAL, FREE, 16, seed=0)
    noise = np.random.default_rng(0).normal(0, 0.05, 16)
    errors = leave_one_out(shares, LAWS[0].predict(shares) + noise)
    assert 0.02 < np.abs(errors).mean() < 0.15


def test_the_lowest_point_is_that_of_a_search() -> None:
    grid = np.array([(a, b, 1 - a - b) for a in np.linspace(0, 1, 201) for b in np.linspace(0, 1 - a, 201)])
    little = np.array([[0.3, 0.7, 0], [0.3, 0, 0.7], [0, 1, 0], [0, 0, 1]])
    for corners, most in ((np.eye(3), 1.0), (little, 0.3)):
        open_to = grid[grid[:, 0] <= most + 1e-9]
        losses = np.mean([law.predict(open_to) for law in LAWS], axis=0)
        best = best_mixture(LAWS, corners)
        assert np.mean([law.predict(best) for law in LAWS]) <= losses.min() + 1e-6
        assert np.abs(best - open_to[losses.argmin()]).max() < 0.01
        assert best[0] <= most + 1e-9


def test_the_optimum_of_a_known_law_is_found_from_losses_alone() -> None:
    shares = design(NATURAL, FREE, 20, seed=5)
    noise = np.random.default_rng(1).normal(0, 0.003, (2, 20))
    fitted = [fit(shares, law.predict(shares) + extra) for law, extra in zip(LAWS, noise, strict=True)]
    assert np.abs(best_mixture(fitted, shares) - best_mixture(LAWS, shares)).max() < 0.05


def test_nothing_is_promised_where_nothing_was_trained() -> None:
    """A law that promises most for one domain alone is not followed beyond what was tried of it."""
    trained = np.array([[0.5, 0.3, 0.2], [0.3, 0.4, 0.3], [0.6, 0.2, 0.2]])
    assert best_mixture([Law(1.0, np.array([0.0, -9.0, 0.0]))], trained) == pytest.approx(trained[1], abs=1e-4)


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="3 runs cannot fit a law of 3 domains; 4 are the fewest"):
        fit(design(NATURAL, FREE, 3, seed=0), np.array([1.0, 2.0, 3.0]))
