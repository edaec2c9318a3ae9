"""Ground truth for near-duplicates: real revisions of real documents with the exact similarity of every pair.

`HEADWATER_DATA/dups/revisions-{en,zh}` hold the documents and every pair with a Jaccard similarity of at least 0.3 over
5-token shingles, computed exactly by `HEADWATER_DATA/scripts/exact_near_dups.py`.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from arguments import data_folder
from backports import zstd
from documents import json_rows

THRESHOLD = 0.8
SLACK = 0.03  # a removed document must have a kept one of at least THRESHOLD - SLACK


class Truth(NamedTuple):
    """Documents (index = id) and the pairs among them."""

    language: str
    texts: list[str]
    a: npt.NDArray[np.int64]
    b: npt.NDArray[np.int64]
    jaccard: npt.NDArray[np.float64]

    @property
    def megabytes(self) -> float:
        """UTF-8 megabytes (10^6) of text."""
        return sum(len(text.encode()) for text in self.texts) / 1e6


def load(language: str, documents: int | None = None) -> Truth:
    """The ground truth of `en` or `zh`, of its first `documents` where that is given."""
    folder = data_folder() / "dups"
    texts = [row["text"] for row in json_rows(folder / f"revisions-{language}.docs.jsonl.zst", documents)]
    with zstd.open(folder / f"revisions-{language}.pairs.tsv.zst", "rt", encoding="utf-8") as file:
        a, b, jaccard, _ = np.loadtxt(file, skiprows=1).T
    inside = (a < len(texts)) & (b < len(texts))
    return Truth(language, texts, a[inside].astype(int), b[inside].astype(int), jaccard[inside])


def judge(truth: Truth, kept: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """What a choice of kept documents leaves and what it takes without reason."""
    nearest = np.zeros(len(truth.texts))  # similarity of each document to its nearest kept one, where at least 0.3
    np.maximum.at(nearest, truth.a[kept[truth.b]], truth.jaccard[kept[truth.b]])
    np.maximum.at(nearest, truth.b[kept[truth.a]], truth.jaccard[kept[truth.a]])
    pairs = truth.jaccard >= THRESHOLD
    removed = ~kept
    return {
        "pairs": int(pairs.sum()),
        "both kept": int((pairs & kept[truth.a] & kept[truth.b]).sum()),
        "removed": int(removed.sum()),
        "none >= 0.80": int((removed & (nearest < THRESHOLD)).sum()),
        "none >= 0.77": int((removed & (nearest < THRESHOLD - SLACK)).sum()),
        "none >= 0.70": int((removed & (nearest < 0.7)).sum()),
    }
