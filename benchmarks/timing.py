"""How benchmarks take time. Only the standard library is needed, so that peers' environments can use it too."""

import statistics
import time
from collections.abc import Callable, Mapping


def cpu_seconds(work: Callable[[], object]) -> float:
    """Seconds of process time, of all threads, that `work` takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def best(work: Callable[[], object], repeat: int = 3) -> float:
    """CPU seconds of the fastest of some repetitions, after one that compiles."""
    work()
    return min(cpu_seconds(work) for _ in range(repeat))


def bytes_per_second(work: Callable[[], object], size: float, seconds: float = 1.0) -> float:
    """How many of its `size` bytes `work` handles in a CPU second, done again and again for so many seconds."""
    spent, times = 0.0, 0
    while spent < seconds:
        spent += cpu_seconds(work)
        times += 1
    return size * times / spent


def per_wall_second(read: Callable[[], int]) -> Callable[[], float]:
    """What `read` says that it read, by seconds of the wall clock."""

    def measure() -> float:
        start = time.perf_counter()
        count = read()
        return count / (time.perf_counter() - start)

    return measure


def in_turns(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each measures in each round, one after the other, so that whatever else the machine does hits all.

    The first round, which may compile, is not counted.
    """
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if number:
                found[name].append(value)
    return found


def medians(found: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each list."""
    return {name: statistics.median(values) for name, values in found.items()}
