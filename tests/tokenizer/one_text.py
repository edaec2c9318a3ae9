"""The pre-tokenizer on one text, for tests."""

from itertools import pairwise

import numpy as np

from tokenizer.characters import class_table
from tokenizer.pretokenizer import new_memo, scan


def split(text: str) -> list[str]:
    """The pretokens of a text."""
    raw = text.encode()
    data = np.frombuffer(raw + bytes(64), np.uint8)
    ends = np.empty(len(raw), np.int64)
    count, _ = scan(data, 0, len(raw), class_table(), ends, new_memo())
    bounds = [0, *ends[:count].tolist()]
    return [raw[first:last].decode() for first, last in pairwise(bounds)]
