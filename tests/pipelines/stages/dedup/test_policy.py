"""Who is kept is a property of the documents: not of their order, their shards, or the partitions of the work."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipelines.stages.dedup.test_dedup import duplicates_of, near_copies, run

Row = dict[str, Any]
DAY = 86_400_000


def documents(seed: int) -> list[Row]:
    """Near copies with dates and verdicts, none of which says anything about the place of the document."""
    rng = np.random.default_rng(seed)
    return [
        {"id": f"{place * 7919 % 10007:032x}", "text": text, "failed": int(rng.integers(3))}
        | {"date": int(rng.integers(5)) * DAY if rng.integers(4) else None, "site": f"s{place % 3}"}
        for place, text in enumerate(near_copies(seed, 60))
    ]


def dealt(rows: list[Row], shards: int, order: np.random.Generator) -> dict[str, list[list[Row]]]:
    """The documents of one dump in a random order, in so many shards of random sizes, some empty."""
    rows = [rows[place] for place in order.permutation(len(rows))]
    edges = [0, *sorted(order.integers(0, len(rows) + 1, shards - 1).tolist()), len(rows)]
    return {"D": [rows[low:high] for low, high in itertools.pairwise(edges)]}


def chosen(root: Path, dumps: dict[str, list[list[Row]]], **parameters: Any) -> dict[str, Row]:
    """The duplicates table by id; sizes and dumps of clusters included."""
    results = run(root, dumps, verdicts=True, **parameters)
    assert not any(result.failed for result in results.values())
    return {row["id"]: row for row in duplicates_of(root, dumps).to_pylist()}


@settings(max_examples=5, deadline=None)
@given(
    st.integers(0, 1000), st.permutations(["quality", "date", "length", "id"]), st.sampled_from(["newest", "oldest"])
)
def test_keepers_do_not_depend_on_order_or_shards(
    tmp_path_factory: pytest.TempPathFactory, seed: int, keep: list[str], date: str
) -> None:
    rows, order = documents(seed), np.random.default_rng(seed)
    root = tmp_path_factory.mktemp("run")
    first = chosen(root / "one", dealt(rows, 1, order), keep=keep, date=date)
    again = chosen(root / "many", dealt(rows, 4, order), keep=keep, date=date, shards_per_group=2, partitions=3)
    assert again == first
    sizes: dict[str, int] = {}
    for row in first.values():
        sizes[row["cluster"]] = sizes.get(row["cluster"], 0) + 1
    assert all(row["cluster_size"] == sizes[row["cluster"]] and row["cluster_dumps"] == 1 for row in first.values())


def test_the_order_of_dumps_is_the_recipes(tmp_path: Path) -> None:
    """With `dump` in the policy the first named wins, whatever it is called; without, the order says nothing."""
    text = " ".join(f"w{place}" for place in range(60))
    rows = {name: [[{"id": name * 32, "text": text}]] for name in "cab"}
    assert chosen(tmp_path, rows, keep=("dump",))["b" * 32]["duplicate_of"] == "c" * 32
    assert chosen(tmp_path, dict(sorted(rows.items())), keep=("dump",))["b" * 32]["duplicate_of"] == "a" * 32
    for names in ("cab", "bca"):
        found = chosen(tmp_path, {name: rows[name] for name in names}, keep=("length",))
        assert [row["id"] for row in found.values() if row["keep"]] == ["a" * 32]
        assert {row["cluster_dumps"] for row in found.values()} == {3}
