"""The metrics of a run as TensorBoard draws them: `tensorboard --logdir OUT/tensorboard`.

A copy of metrics.jsonl in another format, to compare runs there; it is never read back. Event files cannot be cut. So
after a resume TensorBoard's own `purge_step` hides what a killed run wrote beyond its checkpoint. A folder that has no
events yet receives those of the steps before, as when a run goes on from another's checkpoint. An object store cannot
append: there, each start has a file that is sent with every checkpoint. Without the package `tensorboard` (extra
`train`) nothing is written.
"""

import importlib.util
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from corpus.io import storage

_SCALARS = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "tokens_per_second": "speed/tokens_per_second",
    "utilisation": "speed/utilisation",
}
_FLUSH_SECONDS = 10


class Curves:
    """Event files in one folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._writer: Any = None
        self._temporary: tempfile.TemporaryDirectory | None = None

    def start(self, step: int, records: Iterable[Mapping[str, Any]]) -> None:
        """Go on after `step`; `records` are those up to it."""
        if importlib.util.find_spec("tensorboard") is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        fresh = not storage.list_files(self.folder)
        folder = self.folder
        if storage.scheme(self.folder) != "file":
            self._temporary = tempfile.TemporaryDirectory(prefix="headwater-")
            folder = self._temporary.name
        self._writer = SummaryWriter(folder, purge_step=None if fresh else step + 1, flush_secs=_FLUSH_SECONDS)
        if fresh:
            for record in records:
                self.append(record)

    def append(self, record: Mapping[str, Any]) -> None:
        """The figures of a step."""
        if self._writer is None:
            return
        figures = {name: record[key] for key, name in _SCALARS.items() if key in record}
        figures |= {f"bits_per_byte/{name}": value for name, value in record.get("bits_per_byte", {}).items()}
        for name, value in figures.items():
            self._writer.add_scalar(name, value, record["step"])

    def sync(self) -> None:
        """Make everything so far durable."""
        if self._writer is None:
            return
        self._writer.flush()
        if self._temporary is not None:
            for path in Path(self._temporary.name).iterdir():
                storage.write_bytes(storage.join(self.folder, path.name), path.read_bytes())

    def close(self) -> None:
        """Make durable and close."""
        self.sync()
        if self._writer is not None:
            self._writer.close()
