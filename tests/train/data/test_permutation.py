"""The Feistel permutation is one, for any size, and looks like a shuffle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.data.permutation import feistel, shuffled


def order(size: int, block: int, window: int, key: int) -> np.ndarray:
    return np.array([shuffled(place, size, block, window, np.uint64(key)) for place in range(size)])


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 3000), st.integers(1, 80), st.integers(1, 9), st.integers(0, 2**64 - 1))
def test_every_sample_comes_once(size: int, block: int, window: int, key: int) -> None:
    assert np.array_equal(np.sort(order(size, block, window, key)), np.arange(size))


@given(st.integers(2, 1 << 40), st.integers(0, 2**64 - 1), st.data())
@settings(deadline=None)
def test_large_sizes_need_no_table(size: int, key: int, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=20, unique=True))
    images = [feistel(place, size, np.uint64(key)) for place in places]
    assert all(0 <= image < size for image in images)
    assert len(set(images)) == len(places)


def test_blocks_stay_together_in_windows() -> None:
    samples = order(10_000, block=100, window=10, key=5)
    for window in samples.reshape(-1, 1000):
        blocks, counts = np.unique(window // 100, return_counts=True)
        assert len(blocks) == 10
        assert (counts == 100).all()
    assert not np.array_equal(np.sort(samples[:1000]), np.arange(1000))


@pytest.mark.parametrize(("block", "window"), [(1, 1 << 20), (64, 256)])
def test_order_is_as_random_as_a_shuffle(block: int, window: int) -> None:
    """Rank correlation, distance of neighbours and longest kept runs are those of a random permutation."""
    size = 16_384
    samples = order(size, block, window, key=11)
    correlation = np.corrcoef(np.arange(size), samples)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(size)  # five standard deviations
    distance = np.abs(np.diff(samples)).mean() / size
    assert abs(distance - 1 / 3) < 0.01  # a third, for two uniform points
    assert np.mean(np.diff(samples) == 1) < 10 / size


def test_places_are_uniform_over_keys() -> None:
    """Each of 7 samples stands at each place equally often (chi-squared, 36 degrees of freedom)."""
    counts = np.zeros((7, 7))
    for key in range(7000):
        counts[np.arange(7), order(7, 1, 100, key)] += 1
    assert ((counts - 1000) ** 2 / 1000).sum() < 80  # p = 0.00004


def test_keys_give_different_orders() -> None:
    orders = {tuple(order(50, 4, 3, key)) for key in range(100)}
    assert len(orders) == 100


def test_places_are_whole_numbers() -> None:
    """Through a float, places beyond 2^53 would be rounded."""
    assert {type(feistel(0, size, np.uint64(1))) for size in (1, 7)} == {int}
    assert type(shuffled(5, 1000, 7, 5, np.uint64(3))) is int


def test_order_of_today() -> None:
    """A run that is taken up again goes on in the same order."""
    assert order(20, block=3, window=2, key=7).tolist() == [
        *(6, 4, 8, 7, 3, 5, 15, 17, 16, 10, 9, 11, 13, 1, 0, 2, 12, 14, 18, 19),
    ]
    assert [feistel(i, 10, np.uint64(7)) for i in range(10)] == [8, 0, 4, 9, 7, 5, 1, 3, 6, 2]
