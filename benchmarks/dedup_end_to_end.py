"""Deduplication end to end on one core, from a Parquet file to the documents that stay: ours and, with --peers,
datatrove, datasketch and rensa on the same files; and what the machine allows.

    HEADWATER_DATA=... python benchmarks/dedup_end_to_end.py [--language en] [--peers PYTHON] [--documents 300]

Seconds are of CPU (all threads), medians of the repetitions after one that compiles; a peer runs once, without its
imports. Ours runs twice over: as `headwater dedup` on the file, and as a recipe's stages on shards of documents, which
write signatures, keys, clusters and fates to disk on the way. Every system's choice is judged by the exact
similarities of the ground truth : how many pairs of at least 0.8 are both kept, and how many documents went though
none kept reaches 0.77. So no speed is bought with errors.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from arguments import add_documents, add_peers, new_parser
from machine_limits import decoding, scanning
from near_duplicate_truth import Truth, judge, load
from peer_process import left_out_if_missing, run_peer
from rich.console import Console

from corpus.document import SCHEMA
from corpus.io import table
from pipelines.cli import main as headwater
from pipelines.config.dedup import DedupParameters
from pipelines.engine import pipeline
from pipelines.engine.stage import Counts, NoParameters, Stage, Task, Upstream
from pipelines.stages.dedup.stages import dedup_stages

PEERS = ("datatrove", "datasketch", "rensa")
ROWS = 500  # documents of a row group
Keepers = Callable[[], list[str]]


class Given(Stage[NoParameters]):
    """One shard of documents that is there before the clock starts."""

    name: ClassVar[str] = "documents"
    phase: ClassVar[str] = "extract"

    def plan(self, upstream: Upstream) -> list[Task]:
        """The shard."""
        return [self.task("documents/dump=D/00000.parquet", [])]

    def run(self, task: Task) -> Counts:
        """Never called: the shard is done."""
        raise AssertionError(task)

    def make(self, path: str) -> None:
        """Make the shard from a file of ids and texts."""
        task = self.plan(Upstream())[0]
        rows = pq.read_table(path)
        fixed = {"language": "en", "language_score": 1.0, "lid_en": 1.0, "lid_zh": 0.0, "file": "f", "offset": 0}
        known: dict[str, Any] = {name: [value] * len(rows) for name, value in fixed.items()}
        known |= {"id": rows["id"], "text": rows["text"], "length": pa.compute.binary_length(rows["text"])}
        columns = [known.get(field.name, pa.nulls(len(rows), field.type)) for field in SCHEMA]
        with table.ShardWriter(self.path(task.output), SCHEMA) as writer:
            whole = pa.table(dict(zip(SCHEMA.names, columns))).cast(SCHEMA)
            for at in range(0, len(whole), ROWS):
                writer.write(whole.slice(at, ROWS))
            writer.metadata = task.stamp({})


def command(path: str, folder: str) -> list[str]:
    """The ids that stay after `headwater dedup`."""
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        assert headwater(["dedup", path, "--out", folder, "--workers", "1"]) == 0
    return kept(pq.read_table(f"{folder}/duplicates.parquet"))


def stages(path: str, folder: str) -> Keepers:
    """The ids that stay after the stages of a recipe, run one after another without Ray, each time from nothing."""
    given = Given(folder, NoParameters())
    given.make(path)

    def run() -> list[str]:
        for part in ("signatures", "dedup", "duplicates"):
            shutil.rmtree(f"{folder}/{part}", ignore_errors=True)
        steps = [given, *dedup_stages(folder, DedupParameters(keep=("length", "id")))]
        results = pipeline.run(steps, Console(quiet=True), verify=False, on_ray=False)
        assert not any(result.failed for result in results)
        return kept(pq.read_table(f"{folder}/duplicates/dump=D/00000.parquet", partitioning=None))

    return run


def kept(rows: pa.Table) -> list[str]:
    """The ids of the rows that stay."""
    names: list[str] = rows.filter(rows["keep"])["id"].to_pylist()
    return names


def timed(run: Keepers, repeat: int) -> tuple[list[str], float]:
    """What it keeps, and the median of its CPU seconds, after one run that does not count."""
    names, seconds = run(), []
    for _ in range(repeat):
        start = sum(os.times()[:2])
        names = run()
        seconds.append(sum(os.times()[:2]) - start)
    return names, statistics.median(seconds)


def main() -> None:
    """Print a table per language."""
    parser = new_parser(__doc__)
    parser.add_argument("--language", choices=["en", "zh"])
    add_peers(parser, ", ".join(PEERS))
    add_documents(parser, "documents of each language")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    for language in [arguments.language] if arguments.language else ["en", "zh"]:
        truth = load(language, arguments.documents)
        with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
            compare(truth, folder, arguments)


def compare(truth: Truth, folder: str, arguments: argparse.Namespace) -> None:
    """Print the table of one language."""
    path = f"{folder}/documents.parquet"
    ids = [f"{place:08}" for place in range(len(truth.texts))]
    rows = pa.table({"id": ids, "text": pa.array(truth.texts, pa.large_string())})
    pq.write_table(rows, path, row_group_size=ROWS, compression="zstd", compression_level=1)
    print(f"\n{truth.language}: {len(truth.texts):,} documents, {truth.megabytes:.1f} MB")
    print("| | CPU s | MB/s | ours is faster | kept | pairs >= 0.8 both kept | removed, none >= 0.77 |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    names, best = timed(lambda: command(path, folder), arguments.repeat)
    show(truth, "headwater dedup", names, best, best)
    show(truth, "headwater, the stages", *timed(stages(path, f"{folder}/root"), arguments.repeat), best)
    for name in PEERS if arguments.peers else ():
        with left_out_if_missing(name):
            found = run_peer(arguments.peers, "peer_dedup.py", name, path, truth.language)
            show(truth, name, found["kept"], found["seconds"], best)
    for name, seconds in (("decode the text column", decoding(path)), ("add up its bytes", scanning(rows["text"]))):
        print(f"| limit: {name} | {seconds:.3f} | {truth.megabytes / seconds:,.0f} | {seconds / best:.2f} | | | |")


def show(truth: Truth, name: str, names: list[str], seconds: float, best: float) -> None:
    """A row of the table."""
    mask: npt.NDArray[np.bool_] = np.zeros(len(truth.texts), bool)
    mask[[int(one) for one in names]] = True
    found = judge(truth, mask)
    print(
        f"| {name} | {seconds:.2f} | {truth.megabytes / seconds:,.2f} | {seconds / best:,.1f} | {len(names):,} | "
        f"{found['both kept']} of {found['pairs']:,} | {found['none >= 0.77']} of {found['removed']:,} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
