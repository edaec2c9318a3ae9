"""Ground truth for near-duplicates: real revisions of real documents with the exact similarity of every pair.

`HEADWATER_DATA/dups/revisions-{en,zh}` hold the documents and every pair with a Jaccard similarity of at least 0.3 over
5-token shingles, computed exactly by `HEADWATER_DATA/scripts/exact_near_dups.py`.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from backports import zstd

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


def load(language: str) -> Truth:
    """The ground truth of `en` or `zh`; exits with a message where HEADWATER_DATA does not name it."""
    folder = Path(os.environ.get("HEADWATER_DATA", "")) / "dups"
    if not (folder / f"revisions-{language}.docs.jsonl.zst").is_file():
        sys.exit("set HEADWATER_DATA to the folder that holds dups/revisions-en.docs.jsonl.zst")
    with zstd.open(folder / f"revisions-{language}.docs.jsonl.zst", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file.read().split("\n") if line]
    with zstd.open(folder / f"revisions-{language}.pairs.tsv.zst", "rt", encoding="utf-8") as file:
        a, b, jaccard, _ = np.loadtxt(file, skiprows=1).T
    return Truth(language, texts, a.astype(int), b.astype(int), jaccard)


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
