"""What is shown while a model trains: a live line on a terminal, plain lines elsewhere."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.text import Text

from train.loop import Display, StepReport

_SECONDS_BETWEEN_LINES = 10.0


def describe(report: StepReport, bits: float | None = None) -> str:
    """A step in one line; `bits` per byte of all held-out text are those that were last measured."""
    parts = [
        f"step {report.step:,}/{report.steps:,}",
        f"{report.tokens / 1e6:,.2f}M tokens",
        f"loss {report.loss:.3f}" + ("" if bits is None else f"  {bits:.3f} bits/byte"),
        f"lr {report.learning_rate:.2e}",
        f"{report.tokens_per_second:,.0f} tokens/s"
        + ("" if report.utilisation is None else f"  MFU {report.utilisation:.1%}"),
        f"ETA {timedelta(seconds=math.ceil(report.seconds_left))}",
    ]
    if report.checkpoint is not None:
        parts.append(f"checkpoint at {report.checkpoint:,} ({report.checkpoint_age:.0f} s ago)")
    return "  ".join(parts)


def describe_bits(figures: dict[str, float]) -> str:
    """Bits per byte by domain in one line."""
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


class PlainDisplay(Display):
    """A line every ten seconds, at every validation and at the end, flushed, for logs."""

    def __init__(self) -> None:
        self._last = -math.inf

    def step(self, report: StepReport) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES or report.bits_per_byte or report.step == report.steps:
            self._last = now
            print(f"train: {describe(report)}", flush=True)
        if report.bits_per_byte:
            print(f"train: bits per byte: {describe_bits(dict(report.bits_per_byte))}", flush=True)

    def note(self, message: str) -> None:
        print(f"train: {message}", flush=True)


class LiveDisplay(Display):
    """One line that is redrawn, with the validations above it. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=False)
        self._bits: float | None = None

    def __enter__(self) -> "LiveDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def step(self, report: StepReport) -> None:
        if report.bits_per_byte:
            self._bits = report.bits_per_byte["all"]
            self.note(f"step {report.step:,}  bits per byte: {describe_bits(dict(report.bits_per_byte))}")
        self._live.update(Text(describe(report, self._bits)))

    def note(self, message: str) -> None:
        self._live.console.print(message, highlight=False)


@contextmanager
def shown(live: bool = True) -> Iterator[Display]:
    """A live line for rank 0 if it has a terminal (and `live`), plain lines otherwise."""
    console = Console(markup=False)
    if live and console.is_terminal and os.environ.get("RANK", "0") == "0":
        with LiveDisplay(console) as display:
            yield display
    else:
        yield PlainDisplay()
