"""The kernels of the tokenizer on one text, for tests."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.characters import class_table
from tokenizer.encode import Encoder
from tokenizer.pretokenizer import new_memo, scan


def split(text: str) -> list[str]:
    """The pretokens of a text."""
    raw = text.encode()
    data = np.frombuffer(raw + bytes(64), np.uint8)
    ends = np.empty(len(raw), np.int64)
    count, _ = scan(data, 0, len(raw), class_table(), ends, new_memo())
    bounds = [0, *ends[:count].tolist()]
    return [raw[first:last].decode() for first, last in pairwise(bounds)]


def encode_one(encoder: Encoder, text: str) -> npt.NDArray[np.int32]:
    """The ids of a text without BOS and EOS, which no text is encoded to."""
    ids = encoder.encode_column(pa.array([text], pa.large_string()))[0]
    return ids[(ids != encoder.vocabulary.bos) & (ids != encoder.vocabulary.eos)]
