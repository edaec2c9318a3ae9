"""metrics.jsonl: one line per step, with no step twice and none missing, also after a crash.

Lines are appended as steps end, so steps after the last checkpoint that were lost in a crash have lines too. When the
run resumes, the lines after its checkpoint are cut off before the steps are done again. The file is on disk before a
checkpoint is, so that no line of a checkpointed step can be missing. An object store cannot append: there the file is
sent whole with each checkpoint.
"""

import json
import os
from typing import Any

from corpus.io import storage
from train.tensorboard import Curves


class Metrics:
    """Where the metrics of a run go; this one, of the ranks that do not write them, keeps nothing."""

    def start(self, step: int, source: str | None = None) -> None:
        """Keep what was logged up to and including `step`, drop the rest, and be ready for the next.

        `source` is the metrics of another run that this one goes on from (default: its own).
        """

    def append(self, record: dict[str, Any]) -> None:
        """Add the line of a step; `record["step"]` ascends."""

    def sync(self) -> None:
        """Make everything so far durable."""

    def close(self) -> None:
        """Make durable and close."""


class MetricsLog(Metrics):
    """metrics.jsonl of a run, and the same for TensorBoard in the folder `curves`; open it with `start`."""

    def __init__(self, path: str, curves: str | None = None) -> None:
        self.path = path
        self._curves = Curves(curves) if curves else None
        self._local = storage.scheme(path) == "file"
        self._lines: list[bytes] = []
        self._file: Any = None

    def start(self, step: int, source: str | None = None) -> None:
        self._lines = _lines_until(step, source or self.path)
        storage.write_bytes(self.path, b"".join(self._lines))
        if self._curves:
            self._curves.start(step, [json.loads(line) for line in self._lines])
        if self._local:
            self._lines = []
            self._file = open(self.path, "ab")  # noqa: SIM115 (closed by `close`)

    def append(self, record: dict[str, Any]) -> None:
        if self._curves:
            self._curves.append(record)
        line = json.dumps(record).encode() + b"\n"
        if self._local:
            self._file.write(line)
            self._file.flush()
        else:
            self._lines.append(line)

    def sync(self) -> None:
        if self._curves:
            self._curves.sync()
        if self._local:
            os.fsync(self._file.fileno())
        else:
            storage.write_bytes(self.path, b"".join(self._lines))

    def close(self) -> None:
        self.sync()
        if self._curves:
            self._curves.close()
        if self._file is not None:
            self._file.close()


def _lines_until(step: int, path: str) -> list[bytes]:
    """The lines up to a step. After it a crash of the machine may have left anything: half a line, or zeros."""
    lines: list[bytes] = []
    if storage.exists(path):
        for line in storage.read_bytes(path).splitlines(keepends=True):
            try:
                if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                    break
            except (ValueError, KeyError, TypeError):
                break
            lines.append(line)
    return lines


def read_metrics(path: str) -> list[dict[str, Any]]:
    """The records of a metrics file."""
    return [json.loads(line) for line in storage.read_bytes(path).splitlines()]
