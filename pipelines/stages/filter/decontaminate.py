"""Decontamination as three stages: `benchmarks` indexes the sets, `contamination` looks for their items in each shard
of documents, `contaminated` adds up by benchmark what was found and where.

The stages are there only if the recipe names benchmarks. Dropping a document for it is the verdict's part: the number
of items that a document holds is a signal with a threshold, so a recipe may keep the documents and only be told.
"""

from collections import Counter
from functools import lru_cache
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.contamination import match
from corpus.contamination.benchmarks import read_benchmark
from corpus.contamination.index import Index, build_index
from corpus.io import storage, table
from corpus.io.checksum import file_entry
from pipelines.config.decontaminate import BenchmarkSet, DecontaminateParameters
from pipelines.engine.shapes import SingleStage
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, Source, Stage, Task, Upstream
from pipelines.stages.filter.annotate import AnnotateStage

FOLDER = "contamination"
INDEX = "contamination/index.json"
ENTRIES, TEXTS = "entries.parquet", "texts.parquet"
REPORT = "contamination/report.json"
EXAMPLES = 20  # kept of each benchmark, those with the largest share


class BenchmarkCounts(Counts, total=False):
    """What the index holds."""

    texts: int
    ngrams: int


class ContaminationCounts(Counts, total=False):
    """By benchmark, the documents that hold an item of it."""

    benchmarks: dict[str, int]


class ContaminationReportCounts(Counts, total=False):
    """Distinct items that some document holds."""

    items_found: int


class BenchmarkParameters(BaseModel):
    """The sets that are indexed."""

    model_config = ConfigDict(frozen=True)
    benchmarks: tuple[BenchmarkSet, ...]


class MatchParameters(BaseModel):
    """What it takes to hold an item."""

    model_config = ConfigDict(frozen=True)
    least_share: float


def decontaminate_stages(root: str, section: DecontaminateParameters) -> list[Stage]:
    """The stages up to the signal; none where the recipe names no benchmark."""
    if not section.benchmarks:
        return []
    return [
        BenchmarkStage(root, BenchmarkParameters(benchmarks=section.benchmarks)),
        ContaminationStage(root, MatchParameters(least_share=section.least_share)),
        ContaminationReportStage(root, MatchParameters(least_share=section.least_share)),
    ]


class BenchmarkStage(SingleStage[BenchmarkParameters]):
    """The files of all sets -> contamination/index.json, entries.parquet and texts.parquet"""

    name: ClassVar[str] = "benchmarks"
    phase: ClassVar[str] = "filter"

    def plan(self, upstream: Upstream) -> list[Task]:
        """One task over all files."""
        patterns = (pattern for benchmark in self.parameters.benchmarks for pattern in benchmark.files)
        paths = dict.fromkeys(path for pattern in patterns for path in storage.expand(pattern))
        return [self.task(INDEX, [Source(path, storage.identify(path)) for path in paths])]

    def run(self, task: Task) -> BenchmarkCounts:
        """Read and index every set."""
        sets = self.parameters.benchmarks
        index = build_index(text for one in sets for text in read_benchmark(one.name, one.files, one.fields))
        files = {}
        for name, rows in ((ENTRIES, index.entries), (TEXTS, index.texts)):
            path = self.path(f"{FOLDER}/{name}")
            with table.ShardWriter(path, rows.schema) as writer:
                writer.write(rows)
            files[name] = file_entry(path)
        counts: BenchmarkCounts = {"texts": len(index.texts), "ngrams": len(index.entries)}
        storage.write_json(self.path(task.output), task.stamp(counts) | {"files": files})
        return counts


class ContaminationStage(AnnotateStage[MatchParameters]):
    """documents, the index -> contamination: id, benchmark_items, matches"""

    name: ClassVar[str] = "contamination"
    folder: ClassVar[str] = FOLDER
    phase: ClassVar[str] = "filter"
    uses = ("benchmarks",)
    schema: ClassVar[pa.Schema] = match.SCHEMA

    def annotate(self, documents: pa.Table, task: Task) -> tuple[pa.Table, ContaminationCounts]:
        """The items that each document holds."""
        version = storage.read_json(self.path(task.one("benchmarks")))["fingerprint"]
        matcher = _matcher(self.path(FOLDER), version, self.parameters.least_share)
        found = matcher.match(documents["id"], documents["text"])
        names = ({one["benchmark"] for one in matches} for matches in found["matches"].to_pylist())
        return found, {"benchmarks": dict(Counter(name for held in names for name in held))}


class ContaminationReportStage(SingleStage[MatchParameters]):
    """contamination/** -> contamination/report.json: by benchmark, the items that were found and where"""

    name: ClassVar[str] = "contamination_report"
    phase: ClassVar[str] = "filter"
    reads = ("benchmarks", "contamination")
    output: ClassVar[str] = REPORT

    def run(self, task: Task) -> ContaminationReportCounts:
        """Gather the matches, which are few, shard by shard."""
        benchmarks: dict[str, dict[str, Any]] = {}
        for row in table.read_table(self.path(f"{FOLDER}/{TEXTS}")).to_pylist():
            of = benchmarks.setdefault(
                row["benchmark"], {"items": set(), "looked_for": set(), "found": {}, "matches": []}
            )
            of["items"].add(row["item"])
            if row["grams"]:
                of["looked_for"].add(row["item"])
        for path in task.of("contamination"):
            for document in table.read_table(self.path(path), ["id", "matches"]).to_pylist():
                for one in document["matches"]:
                    of = benchmarks[one["benchmark"]]
                    of["found"].setdefault(one["item"], set()).add(document["id"])
                    where = {"shard": str(ShardRef.of(path)), "id": document["id"]}
                    of["matches"].append(where | {key: one[key] for key in ("item", "field", "share", "start", "end")})
        report: dict[str, dict[str, Any]] = {
            name: {
                "items": len(of["items"]),
                "looked_for": len(of["looked_for"]),  # the others are too short, or shared by too many items
                "found": len(of["found"]),
                "documents": len(set().union(*of["found"].values())),
                "matches": self._with_urls(
                    sorted(of["matches"], key=lambda one: (-one["share"], one["item"], one["id"]))[:EXAMPLES]
                ),
            }
            for name, of in sorted(benchmarks.items())
        }
        counts: ContaminationReportCounts = {"items_found": sum(of["found"] for of in report.values())}
        storage.write_json(self.path(task.output), task.stamp(counts) | {"benchmarks": report})
        return counts

    def _with_urls(self, matches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        urls: dict[str, str | None] = {}
        for shard in {one["shard"] for one in matches}:
            documents = table.read_table(self.path(f"documents/{shard}"), ["id", "url"])
            urls |= dict(zip(documents["id"].to_pylist(), documents["url"].to_pylist()))
        return [one | {"url": urls[one["id"]]} for one in matches]


@lru_cache(maxsize=1)
def _matcher(folder: str, version: str, least_share: float) -> match.Matcher:
    """The index in memory, once per worker and version of it."""
    entries, texts = (table.read_table(storage.join(folder, name)) for name in (ENTRIES, TEXTS))
    return match.Matcher(Index(entries, texts), least_share)
