"""What the machine allows: seconds that no deduplication of these texts can go below, measured beside it.

Decoding the Parquet column that holds the texts; adding up their bytes once; and the permutations, which are bound by
the ports for vectors. Lanes of 32 bits need two micro-operations to multiply, one to add and one to take the minimum.
With AVX-512 two ports (of Intel's servers) share them, so sixteen permutations take two cycles. With AVX2 there are two
ports that multiply and compare, and a third that adds (Intel since Haswell, AMD since Zen), so eight take one and a
half. The clock is measured by a chain of 64-bit multiplications of three cycles each.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from llvmlite.binding import get_host_cpu_features
from numba import njit
from timing import best

from corpus.io.buffers import utf8_buffers

VECTORS = "AVX-512" if get_host_cpu_features().get("avx512f") else "AVX2"
CYCLES_A_PERMUTATION = {"AVX-512": 2 / 16, "AVX2": 1.5 / 8}[VECTORS]
_LINKS = 30_000_000


def decoding(path: str) -> float:
    """Seconds to decode the column `text` of a Parquet file on one thread."""
    return best(lambda: pq.read_table(path, columns=["text"], use_threads=False))


def scanning(text: pa.ChunkedArray) -> float:
    """Seconds to read every byte of the texts once."""
    data, _ = utf8_buffers(text)
    return best(lambda: _scan(data))


def permuting(hashes: int, minima: int) -> float:
    """Seconds that so many hashes under so many permutations keep the ports for vectors busy."""
    clock = 3 * _LINKS / best(lambda: _chain(np.uint64(_LINKS)))
    return hashes * minima * CYCLES_A_PERMUTATION / clock


@njit(nogil=True)
def _scan(data):  # type: ignore[no-untyped-def]
    total = np.uint64(0)
    for byte in data:
        total += np.uint64(byte)
    return total


@njit(nogil=True)
def _chain(links):  # type: ignore[no-untyped-def]
    value = links
    for _ in range(links):
        value = (value * value) | np.uint64(1)
    return value
