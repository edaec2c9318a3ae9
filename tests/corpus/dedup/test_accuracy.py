"""Accuracy on real revisions of real documents, whose exact similarities are known for every pair.

The two figures are what a user of deduplication can lose by: duplicates that stay (pairs at or above the threshold both
kept) and documents that go without a reason (removed, though no kept document is nearly as similar as the threshold).
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from backports import zstd

from corpus.dedup.in_memory import deduplicate_signed, sign_table
from corpus.dedup.minhash import Scheme, Signatures, sign
from corpus.dedup.verify import similarity

THRESHOLD = 0.8


def load(folder: Path, language: str) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The documents, the pairs of at least 0.3 (two columns of rows), and their exact Jaccard similarities."""
    with zstd.open(folder / f"dups/revisions-{language}.docs.jsonl.zst", "rt", encoding="utf-8") as file:
        documents = [json.loads(line) for line in file.read().split("\n") if line]
    with zstd.open(folder / f"dups/revisions-{language}.pairs.tsv.zst", "rt", encoding="utf-8") as file:
        pairs = np.loadtxt(file, skiprows=1)
    assert [d["id"] for d in documents] == list(range(len(documents)))
    table = pa.table({"id": [f"{d['id']:08}" for d in documents], "text": [d["text"] for d in documents]})
    return table, pairs[:, :2].astype(int), pairs[:, 2]


@pytest.fixture(scope="module", params=["en", "zh"])
def truth(request: pytest.FixtureRequest, headwater_data: Path) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    return load(headwater_data, request.param)


@pytest.mark.parametrize("policy", [("length", "id"), ("id",)])
def test_what_stays_and_what_goes(truth: tuple, policy: tuple) -> None:
    table, pairs, jaccard = truth
    _, election, _ = deduplicate_signed([sign_table(table, Scheme())], Scheme(), THRESHOLD, policy)
    kept = election.level == 0
    a, b = pairs.T
    duplicates = jaccard >= THRESHOLD
    assert duplicates.sum() > 3000
    both_kept = (kept[a] & kept[b] & duplicates).sum()
    assert both_kept <= 0.001 * duplicates.sum()

    nearest = np.zeros(len(table))
    np.maximum.at(nearest, a[kept[b]], jaccard[kept[b]])
    np.maximum.at(nearest, b[kept[a]], jaccard[kept[a]])
    assert (~kept).sum() > 1000
    assert (nearest[~kept] < THRESHOLD - 0.03).sum() <= 0.001 * (~kept).sum()
    assert (election.similarity[~kept] >= THRESHOLD).all()


def test_similarities_are_those_of_the_definition(truth: tuple) -> None:
    """Ours count letters outside ASCII as parts of words, the ground truth as separators: hence a small difference."""
    table, pairs, jaccard = truth
    exact = errors_of(sign(table["text"], Scheme()), pairs, jaccard)
    assert np.mean(exact) < 0.0002
    assert np.quantile(exact, 0.998) < 0.008
    cut = errors_of(sign(table["text"], Scheme(sketch_size=1024)), pairs, jaccard)
    assert np.sqrt(np.mean(cut**2)) < np.sqrt(0.25 / 1024)


def errors_of(s: Signatures, pairs: np.ndarray, jaccard: np.ndarray) -> np.ndarray:
    ours = [similarity(s.values, s.offsets, s.shingles, a, b) for a, b in pairs]
    return np.abs(np.array(ours) - jaccard)


def test_candidates_reach_the_stated_recall(truth: tuple) -> None:
    table, pairs, jaccard = truth
    keys = sign(table["text"], Scheme()).bands
    a, b = pairs[jaccard >= THRESHOLD].T
    assert (keys[a] == keys[b]).any(axis=1).mean() >= 0.9995
