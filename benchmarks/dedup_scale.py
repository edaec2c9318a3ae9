"""Deduplication at scale on one machine: from signatures to keepers, in bounded memory, with the answer known.

    python benchmarks/dedup_scale.py --out /tmp/scale --documents 5e6 16e6 50e6

Generates signatures (benchmarks/generated_signatures.py; not timed), and runs the real stages on embedded Ray. Prints
the time, the memory of the worst task and the bytes of each stage. Checks who was removed against the clusters that
were generated. `core-s` is CPU time with --workers 0, and otherwise the time of the tasks added up. Files that no
later stage reads are deleted on the way: 50 million documents need about 26 GB of disk.
"""

import argparse
import shutil
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from arguments import new_parser
from generated_signatures import SHINGLES, GeneratedSignatures, GeneratorParameters, expected

from pipelines.config.dedup import DedupParameters
from pipelines.engine.cluster import connected, run_here, run_on_ray
from pipelines.engine.run_task import Outcome
from pipelines.engine.stage import Stage, Task, Upstream
from pipelines.engine.stamps import add_counts
from pipelines.stages.dedup.stages import dedup_stages

LAST_READERS = {  # a folder below dedup/, and the last stage that reads it
    "exact_keys": "exact_edges",
    "band_keys": "candidate_edges",
    "exact_edges": "local_components",
    "candidate_edges": "local_components",
    "local_components": "components",
    "components": "members",
    "members": "keepers",
    "keepers": "keepers_by_shard",
}


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("--out", required=True, type=Path, help="an empty folder with room")
    parser.add_argument("--documents", type=float, nargs="+", default=[1e6, 2e6, 4e6])
    parser.add_argument("--hub", type=float, default=1e6, help="documents of the largest cluster (default: a million)")
    parser.add_argument("--memory-gib", type=float, default=2.0, help="dedup.memory_bytes (default: 2)")
    parser.add_argument("--workers", type=int, default=2, help="0: in this process, without Ray")
    parser.add_argument(
        "--until",
        default="keepers_by_shard",
        help="the last stage (default: keepers_by_shard, where keepers are known)",
    )
    parser.add_argument("--keep-files", action="store_true", help="delete nothing")
    arguments = parser.parse_args()
    totals = []
    with connected(arguments.workers) if arguments.workers else nullcontext():
        for documents in map(int, arguments.documents):
            root = arguments.out / f"{documents}"
            totals.append((documents, run(documents, min(int(arguments.hub), documents // 5), root, arguments)))
            if not arguments.keep_files:
                shutil.rmtree(root)
    print("\ndocuments, seconds, microseconds per document:")
    for documents, seconds in totals:
        print(f"{documents:>12,} {seconds:8.1f} {seconds / documents * 1e6:6.2f}")


def run(documents: int, hub: int, root: Path, arguments: argparse.Namespace) -> float:
    """Run one size; seconds from the first stage after the signatures to the last."""
    section = DedupParameters(
        keep=("length", "id"),
        memory_bytes=int(arguments.memory_gib * (1 << 30)),
        sketch_size=SHINGLES,
        shards_per_group=32,
    )
    generator = GeneratorParameters(documents=documents, hub=hub, shard=100_000, dumps=8, bands=section.bands)
    stages: list[Stage] = [GeneratedSignatures(str(root), generator), *dedup_stages(str(root), section)[1:]]
    print(f"\n{documents:,} documents, a hub of {hub:,}, {section.bands} bands, {arguments.workers} workers")
    print(f"{'stage':<12}{'tasks':>6}{'s':>9}{'core-s':>9}{'peak MiB':>10}{'MB written':>12}")
    upstream = Upstream()
    total = 0.0
    counts: dict[str, dict[str, Any]] = {}
    for stage in stages:
        tasks = stage.plan(upstream)
        start, started = time.perf_counter(), time.process_time()
        outcomes = _outcomes(stage, tasks, 0 if stage.name == "signatures" else arguments.workers)
        seconds = time.perf_counter() - start
        total += seconds if stage.name != "signatures" else 0.0
        upstream.add(stage.name, tasks, [outcome.counts for outcome in outcomes])
        found: dict[str, Any] = {}
        for outcome in outcomes:
            add_counts(found, outcome.counts)
        counts[stage.name] = found
        in_process = not arguments.workers or stage.name == "signatures"
        cpu = time.process_time() - started if in_process else sum(o.seconds for o in outcomes)
        peak = max(o.peak_rss_bytes for o in outcomes)
        size = sum(Path(root, task.output).stat().st_size for task in tasks)
        if stage.name == "components":
            size = sum(path.stat().st_size for path in (root / "dedup/components").iterdir())
        row = f"{stage.name:<12}{len(tasks):>6}{seconds:>9.1f}{cpu:>9.1f}{peak >> 20:>10,}{size / 1e6:>12,.0f}"
        print(row, {k: v for k, v in found.items() if k not in ("documents", "bytes")} or "", flush=True)
        if not arguments.keep_files:
            for folder in (folder for folder, last in LAST_READERS.items() if last == stage.name):
                shutil.rmtree(root / "dedup" / folder)
        if stage.name == arguments.until:
            break
    truth = expected(documents, hub)
    removed = counts["keepers"]["removed"]
    kept = documents - sum(removed.values())
    print(
        f"{total:.1f} s; kept {kept:,} of {documents:,}; copies removed {removed['exact']:,}, near {removed['near']:,}"
    )
    if (kept, removed["exact"]) != (truth["clusters"], truth["copies"]):
        sys.exit(f"wrong: there are {truth['clusters']:,} clusters and {truth['copies']:,} copies")
    print("as generated")
    return total


def _outcomes(stage: Stage, tasks: list[Task], workers: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    (run_on_ray if workers else run_here)(stage, tasks, outcomes.append)
    failed = [outcome.message + outcome.trace for outcome in outcomes if outcome.message]
    if failed:
        sys.exit(f"{stage.name}: {failed[0]}")
    by_output = {outcome.task.output: outcome for outcome in outcomes}
    return [by_output[task.output] for task in tasks]


if __name__ == "__main__":
    main()
