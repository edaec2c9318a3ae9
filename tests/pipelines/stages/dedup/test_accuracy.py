"""The accuracy on the ground truth, through the stages: the answer that people get, not only that of the kernels."""

import json
from pathlib import Path

import numpy as np
import pytest
from backports import zstd

from tests.pipelines.stages.dedup.test_dedup import duplicates_of, run

THRESHOLD = 0.8


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_stays_and_what_goes(headwater_data: Path, tmp_path: Path, language: str) -> None:
    """Of pairs at the threshold at most 0.1% are both kept; of the removed at most 0.1% have no kept one of 0.77."""
    with zstd.open(headwater_data / f"dups/revisions-{language}.docs.jsonl.zst", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file.read().split("\n") if line]
    with zstd.open(headwater_data / f"dups/revisions-{language}.pairs.tsv.zst", "rt", encoding="utf-8") as file:
        pairs = np.loadtxt(file, skiprows=1)
    a, b, jaccard = pairs[:, 0].astype(int), pairs[:, 1].astype(int), pairs[:, 2]
    rows = [{"id": f"{place:032x}", "text": text} for place, text in enumerate(texts)]
    dumps = {f"D{part}": [rows[part::6], rows[part + 3 :: 6]] for part in range(3)}
    results = run(tmp_path, dumps, keep=("length", "id"), partitions=2)
    assert not any(result.failed for result in results.values())
    found = duplicates_of(tmp_path, dumps)
    kept = np.zeros(len(texts), bool)
    kept[[int(name, 16) for name in found.filter(found["keep"])["id"].to_pylist()]] = True
    alike = jaccard >= THRESHOLD
    assert alike.sum() > 3000
    assert (alike & kept[a] & kept[b]).sum() <= 0.001 * alike.sum()
    nearest = np.zeros(len(texts))
    np.maximum.at(nearest, a[kept[b]], jaccard[kept[b]])
    np.maximum.at(nearest, b[kept[a]], jaccard[kept[a]])
    assert (~kept).sum() > 1000
    assert (nearest[~kept] < THRESHOLD - 0.03).sum() <= 0.001 * (~kept).sum()
    named = {row["id"]: row["duplicate_of"] for row in found.to_pylist() if not row["keep"]}
    assert all(kept[int(keeper, 16)] for keeper in named.values())
    known = {(int(x), int(y)): value for x, y, value in zip(a, b, jaccard)}
    exact = [known.get((min(x, y), max(x, y)), 0.0) for x, y in ((int(m, 16), int(k, 16)) for m, k in named.items())]
    assert np.mean(np.array(exact) >= THRESHOLD - 0.03) >= 0.999  # the keeper that is named, and not just any
