"""Which bucket a document is in, by number: by which the keepers of a bucket are looked up."""

import numpy as np
from numba import njit

from corpus.dedup.bands import Numbers
from corpus.kernels.bits import low_bits
from corpus.kernels.sort import sorted_words
from corpus.kernels.types import I32, U64, Word


def number_buckets(keys: Numbers, out: I32, total: int) -> int:
    """Write to `out` the number of each key's bucket, from `total` on; return the first number not used.

    Only keys that occur more than once have a bucket, the others get -1, and so does key 0, which is no key.
    """
    if not len(keys):
        return total
    words, bits = sorted_words(keys, 0, (1 << 64) - 1)
    return int(_number(words, bits, keys, out, total))


@njit(nogil=True, cache=True)
def _number(words: U64, bits: Word, keys: U64, out: I32, total: int) -> int:
    mask = low_bits(bits)
    start = 0
    while start < len(words):
        stop = start + 1
        while stop < len(words) and (words[stop] >> bits) == (words[start] >> bits):
            stop += 1
        end = stop
        while end > start:  # almost always all keys of the run are equal; if not, one key after the other
            first = np.int64(words[start] & mask)
            key = keys[first]
            size = 0
            others = start
            for i in range(start, end):
                position = np.int64(words[i] & mask)
                if keys[position] == key:
                    size += 1
                    out[position] = total if key != 0 else -1
                else:
                    words[others] = words[i]
                    others += 1
            if size == 1 or key == 0:
                out[first] = -1
            else:
                total += 1
            end = others
        start = stop
    return total
