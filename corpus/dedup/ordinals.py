"""Ordinals: 64 bits that stand for a document inside deduplication.

The dump's position in the recipe's order (16 bits), the shard's number (20 bits) and the row (28 bits). An ordinal
sorts as documents are stored, and a range of them is a shard. It never leaves deduplication: every table that carries
one carries the document's id beside it, and every join by ordinal checks the ids.
"""

import re

import numpy as np
import numpy.typing as npt

from corpus.errors import HeadwaterError

_SHARD_BITS, _ROW_BITS = 20, 28
ROWS = 1 << _ROW_BITS
_SHARD_PATH = re.compile(r"dump=(?P<dump>[^/]+)/(?P<number>\d+)\.parquet$")


def shard_of(path: str) -> tuple[str, int]:
    """`(dump, number)` of a path that ends in `dump=D/N.parquet`; raises HeadwaterError for any other."""
    match = _SHARD_PATH.search(path)
    if match is None:
        raise HeadwaterError(f"{path}: not a shard of a dump, which is named dump=NAME/NUMBER.parquet")
    return match["dump"], int(match["number"])


def first_ordinal(dump: int, number: int) -> int:
    """The ordinal of the first document of a shard; the others follow. Raises HeadwaterError beyond the limits."""
    if not 0 <= dump < 1 << 16 or not 0 <= number < 1 << _SHARD_BITS:
        raise HeadwaterError(
            f"shard {number} of dump {dump}: one run holds at most {1 << 16:,} dumps of {1 << _SHARD_BITS:,} shards"
        )
    return (dump << (_SHARD_BITS + _ROW_BITS)) | (number << _ROW_BITS)


def dump_of(ordinals: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """The dump's position of each ordinal."""
    return (ordinals >> np.uint64(_SHARD_BITS + _ROW_BITS)).astype(np.int32)
