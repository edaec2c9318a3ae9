"""What a person sees of a run: a phase at a time, and with `detail` every stage of it.

In a terminal a live bar shows the phase, with the stage that it is at. Elsewhere (a log, a Ray job) plain lines do.
"""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipelines.engine.stage import Stage

LINE_EVERY = 10.0  # seconds between plain lines


def human_bytes(count: float) -> str:
    """`1536` -> `1.5 kB`; decimal units, as throughput is stated everywhere in the project."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if abs(count) < 1000 or unit == "PB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""


@dataclass
class Work:
    """What there is to do of a stage or of a phase, and what was done in this run."""

    name: str
    tasks: int = 0
    to_do: int = 0  # of them, when it began
    ran: int = 0
    documents: int = 0  # of a phase: of the stage that handled the most
    bytes: int = 0
    rejects: int = 0
    failed: int = 0
    start: float = field(default_factory=time.monotonic)

    @property
    def rates(self) -> str:
        """Throughput, rejects and failures, with a comma before each."""
        seconds = max(1e-9, time.monotonic() - self.start)
        per_second = self.documents / seconds
        rates = [
            f", {per_second:,.{0 if per_second >= 10 else 1}f} docs/s" if self.documents else "",
            f", {human_bytes(self.bytes / seconds)}/s" if self.bytes else "",
            f", {self.rejects:,} rejects" if self.rejects else "",
            f", {self.failed:,} failed" if self.failed else "",
        ]
        return "".join(rates)

    @property
    def so_far(self) -> str:
        """How far it is, and how long the rest will take at this rate."""
        seconds = time.monotonic() - self.start
        left = f", {seconds / self.ran * (self.to_do - self.ran):.0f} s left" if self.ran else ""
        return f"{self.ran:,}/{self.to_do:,} shards{left}{self.rates}"

    def told(self, stages: int = 1) -> str:
        """What was done, once it has ended."""
        of = f" of {stages} stages" if stages > 1 else ""
        if not self.to_do:
            return f"{self.name}: all {self.tasks:,} shards{of} are done"
        amount = f"{self.ran:,}" if self.ran == self.tasks else f"{self.ran:,} of {self.tasks:,}"
        return f"{self.name}: {amount} shards{of} in {time.monotonic() - self.start:.1f} s{self.rates}"


class RunProgress:
    """Progress of a run. For each stage in order: `begin`, `advance` after each task, `end`."""

    def __init__(self, stages: Sequence[Stage], console: Console, detail: bool = False) -> None:
        self.console = console
        self.stage = Work("")
        self._phase = Work("")
        self._detail = detail
        self._stages_of = Counter(stage.phase for stage in stages)
        self._number = 0  # of the stage in its phase, from 1
        self._printed = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def begin(self, stage: Stage, tasks: int, to_do: int) -> None:
        """A stage begins, which has so many tasks, of which so many are not done."""
        if stage.phase != self._phase.name:
            self._end_phase()
            self._phase, self._number = Work(stage.phase), 0
        self.stage = Work(stage.name, tasks, to_do)
        self._number += 1
        self._phase.tasks += tasks
        self._phase.to_do += to_do
        if to_do:
            self._show()

    def advance(self, counts: Mapping[str, Any], failed: bool) -> None:
        """A task has ended with these counts."""
        rejects = sum(counts.get("rejects", {}).values())
        for work in (self.stage, self._phase):
            work.ran += 1
            work.failed += failed
            work.rejects += rejects
        self.stage.documents += int(counts.get("documents", 0))
        self.stage.bytes += int(counts.get("bytes", 0))
        if self.stage.documents >= self._phase.documents:
            self._phase.documents, self._phase.bytes = self.stage.documents, self.stage.bytes
        self._show()

    def end(self) -> None:
        """The stage has ended."""
        if self._detail and self._stages_of[self._phase.name] > 1:
            self._print(f"  {self.stage.told()}", self.stage)

    def _show(self) -> None:
        stages = self._stages_of[self._phase.name]
        at = f"stage {self._number} of {stages}, {self.stage.name}" if stages > 1 else ""
        if self.console.is_terminal:
            if self._bar is None:
                columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[shown]}"))
                self._bar = Progress(*columns, console=self.console, transient=True)
                self._bar.start()
                self._bar.add_task(self._phase.name, total=stages, shown="")
            share = self._number - 1 + self.stage.ran / self.stage.to_do
            shown = f"{at}: {self.stage.so_far}" if at else self.stage.so_far
            self._bar.update(self._bar.task_ids[0], completed=share, shown=shown)
        elif time.monotonic() - self._printed >= LINE_EVERY and self.stage.ran < self.stage.to_do:
            self._printed = time.monotonic()
            where = f"{self._phase.name}, {at}" if at else self._phase.name
            print(f"{where}: {self.stage.so_far}", flush=True)

    def _end_phase(self) -> None:
        self._stop_bar()
        if self._number:
            self._print(self._phase.told(self._stages_of[self._phase.name]), self._phase)

    def _print(self, line: str, work: Work) -> None:
        self.console.print(line, style=None if work.to_do else "dim", highlight=False)
        sys.stdout.flush()

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._end_phase()
        self._stop_bar()
