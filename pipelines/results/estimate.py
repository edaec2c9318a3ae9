"""What the rest of a run will cost: core-hours per stage, from what its finished shards cost here, or from the
benchmarks.

A root that has run something knows best: runs/*.json say what each shard took. Before the first run the rates
of docs/benchmarks.md stand in, times the pages of a typical crawl file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from corpus.io import storage

PAGES_PER_FILE = 38_000  # CC-MAIN-2023-23: 3.1 billion pages in 80,000 WARC files

# Core-milliseconds per page of the stages that go shard by shard, on the nine real dumps (docs/benchmarks.md).
MILLISECONDS = {
    "documents": 1.5,
    "quality": 0.40,
    "classifier": 0.30,
    "perplexity": 0.30,
    "topics": 0.30,
    "verdicts": 0.03,
    "signatures": 0.11,
    "duplicates": 0.03,
    "domains": 0.02,
    "pretoken_counts": 0.06,
    "encoded": 0.30,
}


@dataclass(frozen=True)
class Cost:
    """Core-seconds that the shards still to do will take, and what that is estimated from."""

    core_seconds: float
    basis: str


def measured(root: str) -> dict[str, tuple[float, int]]:
    """Core-seconds and shards of every stage in the runs of a root so far."""
    total: dict[str, tuple[float, int]] = {}
    for file in storage.list_files(storage.join(root, "runs"), ".json"):
        for result in storage.read_json(file.path):
            seconds, shards = total.get(result["stage"], (0.0, 0))
            ran = result["tasks"] - result["done_before"] - len(result["failed"])
            total[result["stage"]] = (seconds + result["cpu_seconds"], shards + ran)
    return total


def cost(stage: str, to_do: int, runs: dict[str, tuple[float, int]], pages: int) -> Cost | None:
    """The cost of so many shards, of so many pages each, of a stage; None if no run and no benchmark tells."""
    seconds, shards = runs.get(stage, (0.0, 0))
    if shards:
        return Cost(seconds / shards * to_do, "what shards took here")
    if stage in MILLISECONDS and pages:
        return Cost(MILLISECONDS[stage] / 1000 * pages * to_do, "docs/benchmarks.md")
    return None


def human_hours(core_seconds: float) -> str:
    """Core-seconds as a person says them."""
    if core_seconds < 120:
        return f"{core_seconds:.0f} core-s"
    if core_seconds < 7200:
        return f"{core_seconds / 60:.0f} core-min"
    return f"{core_seconds / 3600:,.0f} core-h"


def total(costs: Sequence[Cost | None]) -> float:
    """The sum of the costs that are known."""
    return sum(item.core_seconds for item in costs if item)
