"""What the kernels of all rooms are built on. `njit` is numba's; kernels that are decorated after this package is
imported are kept by `corpus.kernels.cache`, so a kernel's file imports something from here."""

from numba import njit
from numba.core.caching import CacheImpl

from corpus.kernels.cache import KernelLocator

if KernelLocator not in CacheImpl._locator_classes:
    CacheImpl._locator_classes.insert(0, KernelLocator)  # answers for the files of our rooms only

__all__ = ["njit"]
