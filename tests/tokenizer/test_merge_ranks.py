"""The perfect hash table of ranks: every pair is found, strangers hardly ever, and a table may be too small."""

import numpy as np
import pytest

from tokenizer.merge_ranks import NEVER, _place, candidate, rank_table


@pytest.mark.parametrize("count", [0, 1, 7, 1000, 100_000])
def test_every_pair_has_its_rank_and_strangers_have_hardly_any(count: int) -> None:
    numbers = np.random.default_rng(count).choice(1 << 32, 2 * count, replace=False, shuffle=True).astype(np.int64)
    pairs = np.column_stack([numbers >> 16, numbers & 0xFFFF]).astype(np.int32)
    known, strangers = pairs[:count], pairs[count:]
    table = rank_table(known)
    assert [candidate(table, left, right) for left, right in known] == list(range(count))
    taken = [rank for left, right in strangers if (rank := candidate(table, left, right)) != NEVER]
    assert all(0 <= rank < count for rank in taken)  # the one who asks compares the pair of this rank
    assert len(taken) <= 2 + count // 100


def test_a_table_that_is_too_small_says_so() -> None:
    pairs = np.column_stack([np.arange(9), np.arange(9)]).astype(np.int32)
    assert not _place(pairs, np.full(10, -1, np.int32))  # eight slots
    assert candidate(rank_table(pairs), 8, 8) == 8
