"""The heap of byte-pair training: which pair to join next, and in which words it came up.

A row (int64) is a count, the pair's key, and the range of a list of words. The highest count is first, and of equal
counts the smallest key. A row's count may be outdated: training compares it when it takes the first row,
and puts it back."""

from numba import njit

from corpus.kernels.types import I64

COUNT, KEY, FIRST, END = 0, 1, 2, 3
FIELDS = 4


@njit(nogil=True, cache=True)
def _before(heap: I64, row: int, count: int, key: int) -> bool:
    return heap[row, COUNT] > count or (heap[row, COUNT] == count and heap[row, KEY] < key)


@njit(nogil=True, cache=True)
def push(heap: I64, size: int, count: int, key: int, first: int, end: int) -> int:
    """Put a row on the heap of `size` rows; return its new size."""
    at = size
    while at > 0 and not _before(heap, (at - 1) >> 1, count, key):
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at, COUNT], heap[at, KEY], heap[at, FIRST], heap[at, END] = count, key, first, end
    return size + 1


@njit(nogil=True, cache=True)
def replace_first(heap: I64, size: int, count: int, key: int, first: int, end: int) -> None:
    """Replace the first row by another."""
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and _before(heap, below + 1, heap[below, COUNT], heap[below, KEY]):
            below += 1
        if not _before(heap, below, count, key):
            break
        heap[at] = heap[below]
        at = below
    heap[at, COUNT], heap[at, KEY], heap[at, FIRST], heap[at, END] = count, key, first, end
