"""What a person sees while stages run: a live bar in a terminal, plain lines elsewhere (a log, a Ray job)."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY = 10.0  # seconds between plain lines


def human_bytes(count: float) -> str:
    """`1536` -> `1.5 kB`; decimal units, as throughput is stated everywhere in the project."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if abs(count) < 1000 or unit == "PB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""


class StageProgress:
    """Progress of one stage: shards, documents/s, MB/s, rejects, time left."""

    def __init__(self, name: str, total: int, console: Console) -> None:
        self.name = name
        self.total = total
        self.console = console
        self.done = self.documents = self.bytes = self.rejects = self.failed = 0
        self._live = console.is_terminal
        self._start = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        if self._live:
            self._bar = Progress(
                TextColumn("{task.description:<14}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rates]}"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._bar.start()
            self._id = self._bar.add_task(self.name, total=self.total, rates="")
        return self

    def advance(self, counts: Mapping[str, Any], failed: bool) -> None:
        """A task has ended with these counts."""
        self.done += 1
        self.failed += failed
        self.documents += int(counts.get("documents", 0))
        self.bytes += int(counts.get("bytes", 0))
        self.rejects += sum(counts.get("rejects", {}).values())
        now = time.monotonic()
        if self._live:
            self._bar.update(self._id, completed=self.done, rates=self._rates())
        elif now - self._printed >= LINE_EVERY:
            self._printed = now
            left = (now - self._start) / self.done * (self.total - self.done)
            line = f"{self.name}: {self.done}/{self.total} shards, {left:.0f} s left, {self._rates()}"
            print(line.rstrip(", "), flush=True)

    def _rates(self) -> str:
        seconds = max(1e-9, time.monotonic() - self._start)
        rates = [
            f"{self.documents / seconds:,.0f} docs/s" if self.documents else "",
            f"{human_bytes(self.bytes / seconds)}/s" if self.bytes else "",
            f"{self.rejects:,} rejects" if self.rejects else "",
            f"{self.failed:,} failed" if self.failed else "",
        ]
        return ", ".join(rate for rate in rates if rate)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bar.stop()
        if error is None:
            seconds = time.monotonic() - self._start
            line = f"{self.name}: {self.done}/{self.total} shards in {seconds:.1f} s, {self._rates()}"
            self.console.print(line.rstrip(", "), highlight=False)
            sys.stdout.flush()
