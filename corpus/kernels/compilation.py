"""Says that kernels are being compiled, which on a new machine takes minutes before the first result.

A program asks for it with `announce_compilation`; a library is silent. numba tells when it compiles a function that it
did not find kept. How much there is to do is known of one call at a time: the kernels that the called one uses.
"""

import atexit
import functools
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from numba.core import event
from numba.core.dispatcher import Dispatcher

_SAYING = "compiling kernels for this machine, once"
QUIET_SECONDS = 30.0  # without a compilation: it is over, and said


class _Announcer(event.Listener):
    """What is said on stderr: on a terminal a line that counts and goes; elsewhere a line at the start, one at the
    end."""

    def __init__(self) -> None:
        self._depth = 0  # compilations inside each other: a kernel, and those that it calls
        self._kernels: list[Dispatcher] = []  # those that were, or are to be, made ready
        self._seconds = self._start = 0.0
        self._end: threading.Timer | None = None
        atexit.register(self._finish)

    def on_start(self, event: Any) -> None:
        """A kernel begins to be compiled; numba's lock lets one thread do that at a time."""
        if self._depth == 0:
            if self._end:
                self._end.cancel()
            if not self._kernels and not self._live():
                print(f"{_SAYING} ...", file=sys.stderr, flush=True)
            self._start = time.monotonic()
            known = set(self._kernels)
            self._kernels += [kernel for kernel in _kernels_of(event.data["dispatcher"]) if kernel not in known]
        self._depth += 1
        self._count()

    def on_end(self, event: Any) -> None:
        """It is compiled; where it was the outermost one, wait for the next."""
        self._depth -= 1
        self._count()
        if self._depth == 0:
            self._seconds += time.monotonic() - self._start
            if self._live():
                print(f"\r{' ' * (len(_SAYING) + 16)}\r", end="", file=sys.stderr, flush=True)
            self._end = threading.Timer(QUIET_SECONDS, self._finish)
            self._end.daemon = True
            self._end.start()

    def _count(self) -> None:
        if self._live():
            print(f"\r{_SAYING}: {self._done()} of {len(self._kernels)}", end="", file=sys.stderr, flush=True)

    def _finish(self) -> None:
        if self._kernels and self._depth == 0:
            line = f"compiled {self._done()} kernels in {self._seconds:.0f} s; they are kept for the next time"
            print(line, file=sys.stderr, flush=True)
            self._seconds, self._kernels = 0.0, []

    def _done(self) -> int:
        return sum(bool(kernel.signatures) for kernel in self._kernels)

    @staticmethod
    def _live() -> bool:
        """Whether stderr is a terminal that nothing else draws on."""
        return sys.stderr is sys.__stderr__ and bool(sys.stderr and sys.stderr.isatty())


@functools.cache
def announce_compilation() -> None:
    """Say on stderr, from now on and in this process, when kernels are compiled and how far that is."""
    event.register("numba:compile", _Announcer())


def _kernels_of(kernel: Dispatcher) -> Iterator[Dispatcher]:
    """The kernel and those that it calls, however deep: kept ones only, as numba inlines the others."""
    seen, waiting = {kernel}, [kernel]
    while waiting:
        kernel = waiting.pop()
        if kernel.stats.cache_path:
            yield kernel
        for used in set(_globals_of(kernel)) - seen:
            seen.add(used)
            waiting.append(used)


def _globals_of(kernel: Dispatcher) -> Iterator[Dispatcher]:
    names = kernel.py_func.__code__.co_names
    for value in [kernel.py_func.__globals__.get(name) for name in names]:
        values = [getattr(value, name, None) for name in names] if isinstance(value, ModuleType) else [value]
        yield from (value for value in values if isinstance(value, Dispatcher))
