"""What happens on a worker: one task, measured, with every failure turned into a message that travels back."""

import resource
import sys
import time
import traceback
from dataclasses import dataclass, field

from corpus.errors import CorruptShard, HeadwaterError
from corpus.kernels.compilation import announce_compilation
from pipelines.engine.stage import Counts, Stage, Task


@dataclass(frozen=True)
class Outcome:
    """How a task ended. `message` is empty when it succeeded."""

    task: Task
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    peak_rss_bytes: int = 0
    message: str = ""
    trace: str = ""
    corrupt: str = ""  # the shard that could not be read, if that is why the task failed
    lasting: bool = False  # the same failure would come again: a retry would not help


def execute(stage: Stage, task: Task) -> Outcome:
    """Run a task here; never raises for what the task does."""
    announce_compilation()
    _reset_peak()
    start = time.perf_counter()
    try:
        counts = stage.run(task)
    except CorruptShard as error:
        return Outcome(task, message=str(error), corrupt=error.path, lasting=True)
    except HeadwaterError as error:
        return Outcome(task, message=str(error), lasting=True)
    except Exception as error:
        return Outcome(task, message=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
    return Outcome(task, counts, time.perf_counter() - start, _peak())


def _reset_peak() -> None:
    """Reset the process's peak of resident memory, where the kernel allows it (Linux: clear_refs 5)."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _peak() -> int:
    """Peak resident bytes since the last reset, or since the process began where it cannot be reset."""
    try:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
