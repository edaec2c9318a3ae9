"""Blocks are fetched before they are needed: the order of a stream is known, so the next samples are known too.

A planner thread goes some way ahead of the sample that was read last. It hands the blocks of each sample to a few
threads, which fetch them into the host's cache. They hold nothing in memory. A failure here is not reported: the
reader that needs the block asks again, and reports.
"""

import atexit
import contextlib
import os
import queue
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable

from corpus.errors import HeadwaterError

THREADS = 8  # requests under way at once
REMEMBERED = 1 << 12  # blocks that are not asked for twice; asking for one that is there costs microseconds
STEP = 256  # samples that are planned at once
PAUSE = 0.02  # seconds, when enough is planned

Fetch = Callable[[], None]
Plan = Callable[[int, int], Iterable[tuple[object, Fetch]]]  # (first sample, count) -> block and how to fetch it


class Prefetcher:
    """Fetches the blocks of the next `ahead` samples. `plan` is a bound method; its object is not kept alive."""

    def __init__(self, plan: Plan, ahead: int) -> None:
        self._plan = weakref.WeakMethod(plan)
        self._ahead = ahead
        self._process = 0

    def seek(self, sample: int) -> None:
        """Say which sample is needed now; the threads are started at the first call in a process."""
        if self._process != os.getpid():  # threads do not survive a fork
            self._process = os.getpid()
            self._wanted = sample
            self._stop = threading.Event()
            self._queue: queue.Queue[Fetch] = queue.Queue(maxsize=THREADS)
            self._threads = [threading.Thread(target=self._walk, daemon=True)]
            self._threads += [threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)]
            for thread in self._threads:
                thread.start()
            atexit.register(self.close)
        self._wanted = sample

    def close(self) -> None:
        """Stop the threads; requests under way are waited for."""
        if self._process == os.getpid():
            self._process = 0
            self._stop.set()
            for thread in self._threads:
                thread.join()
            atexit.unregister(self.close)

    def _walk(self) -> None:
        position, asked = self._wanted, OrderedDict[object, None]()
        while not self._stop.is_set():
            if not self._wanted <= position <= self._wanted + self._ahead:  # the reader is ahead, or went back
                position = self._wanted
            count = min(STEP, self._ahead)
            if position + count > self._wanted + self._ahead:
                self._stop.wait(PAUSE)  # not woken at every batch, which would cost the reader time
                continue
            plan = self._plan()
            if plan is None:
                self._stop.set()
                return
            with contextlib.suppress(HeadwaterError):  # best-fit packing reads indexes to plan
                for block, fetch in plan(position, count):
                    if block in asked:
                        asked.move_to_end(block)
                    elif self._hand_on(fetch):
                        asked[block] = None
                        if len(asked) > REMEMBERED:
                            asked.popitem(last=False)
            position += count
            del plan

    def _hand_on(self, fetch: Fetch) -> bool:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(fetch, timeout=0.2)
                return True
        return False

    def _work(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty, HeadwaterError):
                self._queue.get(timeout=0.2)()
