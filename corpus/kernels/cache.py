"""Where compiled kernels are kept: in a folder named by the content of every file that holds a kernel.

numba keys its cache by the content of the one file that a kernel is in. So a kernel that calls another file's kernel
would go on running the old one after that file changed: `git pull` could leave measurements made by yesterday's code.
Any change to a kernel's file, in any room, therefore begins a new folder. It is the first that can be written of
the package's `__pycache__` and `corpus.io.cache_folder.user_caches`, which copes with users without a home.
NUMBA_CACHE_DIR, if set, comes in their place. No environment variable is set, and functions that are not ours are
cached by numba as ever.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from numba.core import config
from numba.core.caching import _CacheLocator

from corpus.io.cache_folder import first_writable, user_caches

ROOMS = ("corpus", "tokenizer", "train")
HOUSE = Path(__file__).resolve().parents[2]


class KernelLocator(_CacheLocator):
    """Tells numba where a function of the house is kept; knows nothing of other functions."""

    def __init__(self, py_func: Callable[..., Any], file: Path) -> None:
        self._py_file = str(file)
        self._line = py_func.__code__.co_firstlineno
        self._path = kernel_folder() / ".".join(file.relative_to(HOUSE).parent.parts)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> Self | None:
        """The locator of a function in one of our rooms; None for any other."""
        file = Path(py_file).resolve()
        ours = file.is_relative_to(HOUSE) and file.relative_to(HOUSE).parts[0] in ROOMS and file.is_file()
        return cls(py_func, file) if ours else None

    def get_cache_path(self) -> str:
        """The folder of its package's kernels."""
        return str(self._path)

    def get_source_stamp(self) -> str:
        """What a kept kernel is compared by: the sources of all kernels, not only its own."""
        return content_of_kernels(HOUSE)

    def get_disambiguator(self) -> str:
        """What tells functions of one name in one file apart."""
        return str(self._line)


@functools.cache
def content_of_kernels(house: Path) -> str:
    """16 hexadecimal digits that stand for the sources of all kernels in the rooms below `house`."""
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (house / room).rglob("*.py")):
        source = path.read_bytes()
        if b"numba" in source or b"corpus.kernels" in source:
            digest.update(f"{path.relative_to(house).as_posix()}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()[:16]


@functools.cache
def kernel_folder() -> Path:
    """The folder of these sources' compiled kernels; raise HeadwaterError where none can be written."""
    parents = [Path(config.CACHE_DIR)] if config.CACHE_DIR else (HOUSE / "corpus/__pycache__", *user_caches())
    return first_writable(parents, f"kernels-{content_of_kernels(HOUSE)}")
