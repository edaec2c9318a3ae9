"""How kernels are compiled that are called a word at a time."""

from numba import njit

# Such a kernel makes no array, so numba need not count references to its arguments. That is an atomic operation for
# each array of each call, and takes half of the time of splitting Chinese.
kernel = njit(nogil=True, cache=True, _nrt=False)
