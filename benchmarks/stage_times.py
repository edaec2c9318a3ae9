"""A recipe through every stage: wall time, documents/s, MB/s of text, core-seconds and peak memory, by stage.

    HEADWATER_DATA=... python benchmarks/stage_times.py [--recipe recipes/dumps.yaml] [--runs 3] [--until tokens]

Runs the recipe (by default the nine real dumps) from nothing, several times, and prints the medians as a table. The
first run, which may compile kernels, is not counted.
"""

import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from arguments import new_parser

from corpus.io import storage

ROOT = Path(__file__).resolve().parent.parent


def run_once(recipe: Path, until: str, workers: int | None) -> list[dict[str, Any]]:
    """One run in a fresh root; its stages as runs/00000.json has them."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        command = [sys.executable, "-m", "pipelines", "run", str(recipe.absolute()), "--no-report"]
        options = ["--set", f"root={folder}", "--until", until]
        options += [] if workers is None else ["--workers", str(workers)]
        if subprocess.run([*command, *options], stdout=subprocess.DEVNULL, cwd=ROOT).returncode:
            sys.exit(f"{recipe}: the run failed; it says why above")
        stages: list[dict[str, Any]] = storage.read_json(f"{folder}/runs/00000.json")
        return stages


def main() -> None:
    """Run and print."""
    parser = new_parser(__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes/dumps.yaml", help="(recipes/dumps.yaml)")
    parser.add_argument("--runs", type=int, default=3, help="that are counted (default: 3)")
    parser.add_argument("--until", default="tokens", metavar="STAGE", help="the last stage (default: tokens)")
    parser.add_argument("--workers", type=int, help="CPUs of the embedded Ray (default: all; 0: no Ray)")
    arguments = parser.parse_args()
    run = partial(run_once, arguments.recipe, arguments.until, arguments.workers)
    run()
    figures: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(arguments.runs):
        for stage in run():
            figures[stage["stage"]].append(stage)
    print("| stage | shards | s | core-s | documents/s | MB/s of text | core-ms/document | peak MB |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    total = 0.0
    for name, runs in figures.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        core = statistics.median(run["cpu_seconds"] for run in runs)
        peak = max(run["peak_rss_bytes"] for run in runs) / 1e6
        documents, size = runs[0]["documents"], runs[0]["bytes"]
        total += seconds
        rates = " | | "
        if documents:
            rates = f"{documents / seconds:,.0f} | {size / seconds / 1e6:,.1f} | {core / documents * 1e3:.3f}"
        print(f"| {name} | {runs[0]['tasks']} | {seconds:.2f} | {core:.2f} | {rates} | {peak:,.0f} |")
    print(f"| all | | {total:.1f} | | | | | |")


if __name__ == "__main__":
    main()
