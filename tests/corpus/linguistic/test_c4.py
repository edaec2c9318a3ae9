"""C4's columns equal what datatrove's C4QualityFilter counts on real documents, summed over a set.

The sums were made by benchmarks/peer_filters.py, which runs datatrove itself (0.10.1), one rule at a time; blank lines
are left out.
"""

from pathlib import Path

import pyarrow as pa
import pytest

from corpus.linguistic.measure import measure
from tests.corpus.linguistic.test_measure import real_texts

NAMES = ("lines", "javascript_lines", "policy_lines", "few_word_lines", "longest_word", "c4_lines")
DATATROVE = {
    ("en/c4-demo", 1): (2675, 0, 0, 0, 4872, 2675),
    ("en/python-peps", 20): (13619, 10, 0, 2995, 3336, 2061),
    ("zh/lctt-articles", 60): (4327, 0, 0, 2089, 6406, 41),
    ("zh/oi-wiki", 20): (3349, 1, 0, 1506, 2163, 127),
}
PAGES = {"en/c4-demo": (0, 0), "en/python-peps": (0, 16), "zh/lctt-articles": (1, 9), "zh/oi-wiki": (0, 19)}


@pytest.mark.parametrize(("name", "every"), DATATROVE)
def test_columns_equal_datatroves_counts(headwater_data: Path, name: str, every: int) -> None:
    columns = measure(pa.array(real_texts(headwater_data / f"text/{name}.jsonl.zst", every), pa.large_string()))
    rows = columns.to_pylist()
    counted = [
        sum(round(row[column] * (row["lines"] if column.endswith("_lines") else 1)) for row in rows) for column in NAMES
    ]
    assert tuple(counted) == DATATROVE[name, every]
    pages = [sum(row[column] > 0 for row in rows) for column in ("lorem_ipsum", "curly_brackets")]
    assert tuple(pages) == PAGES[name]
