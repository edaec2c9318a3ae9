"""The view of sites as three stages: `site_sums` adds up each shard's documents by site, `sites` adds up the shards and
judges, `dropped_sites` gathers the few that fail, so that whoever joins documents with them reads one small table.

A shard of sums has a row group for each partition of sites (by hash of the name), so that the task of a partition
reads its own rows of every shard and nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import BaseModel, ConfigDict

from corpus import site_stats, spans
from corpus.io import table
from pipelines.config.sites import SitesParameters
from pipelines.engine.stage import Counts, Stage, Task

DROPPED = "sites/dropped.parquet"
SUMS_SCHEMA = pa.schema([("partition", pa.int32()), *site_stats.SUMS])
DROPPED_SCHEMA = pa.schema([("site", pa.string()), ("reasons", pa.list_(pa.string())), ("documents", pa.int64())])
_OPTIONAL = ("safety", "classifier", "passages", "lists")  # tables that are joined where the run has them


class SumParameters(BaseModel):
    """How sites are divided."""

    model_config = ConfigDict(frozen=True)
    partitions: int


class JudgeParameters(SumParameters):
    """What decides a site's verdict."""

    bounds: dict[str, float]
    least_documents: int


def site_stages(root: str, section: SitesParameters) -> list[Stage]:
    """The stages of a recipe; they take documents, verdicts and duplicates from the stages planned before them."""
    sum_parameters = SumParameters(partitions=section.partitions)
    judging = JudgeParameters(
        partitions=section.partitions, bounds=section.bounds, least_documents=section.least_documents
    )
    return [SiteCountStage(root, sum_parameters), SiteStage(root, judging), DroppedStage(root, judging)]


class SiteCountStage(Stage[SumParameters]):
    """documents, verdicts, duplicates[, safety, classifier, passages, lists] -> site_counts/dump=D/N.parquet: sums
    by site"""

    name: ClassVar[str] = "site_counts"
    folder: ClassVar[str] = "sites"
    phase: ClassVar[str] = "sites"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard."""
        made = {task.output: task for tasks in done.values() for task in tasks}
        tasks = []
        for documents in done["documents"]:
            shard = documents.output.removeprefix("documents/")
            needed = [made.get(f"{name}/{shard}") for name in ("verdicts", "duplicates")]
            beside = [made[path] for path in (f"{name}/{shard}" for name in _OPTIONAL) if path in made]
            if all(needed):  # else one of them had to be set aside
                tasks.append(self.task(f"sites/{shard}", [documents, *(task for task in needed if task), *beside]))
        return tasks

    def run(self, task: Task) -> Counts:
        """Join a shard's columns and add them up."""
        rows = self._documents(task)
        sums = site_stats.sums(rows)
        partition = partitions_of(sums["site"], self.parameters.partitions)
        counts: Counts = {"documents": len(rows), "bytes": int(pc.sum(rows["length"]).as_py() or 0)}
        with table.ShardWriter(self.path(task.output), SUMS_SCHEMA) as writer:
            for number in np.unique(partition):
                own = sums.filter(pa.array(partition == number))
                writer.write(own.add_column(0, "partition", pa.array(np.full(len(own), number, np.int32))))
            writer.metadata = task.stamp(counts)
        return counts

    def _documents(self, task: Task) -> pa.Table:
        paths = {path.split("/", 1)[0]: self.path(path) for path in task.inputs}
        documents = table.read_table(paths["documents"], ["id", "site", "length", "language"])

        def beside(name: str, columns: list[str]) -> pa.Table:
            found = table.read_table(paths[name], ["id", *columns])
            table.check_ids(found, documents, paths[name])
            return found

        verdicts = beside("verdicts", ["keep", "reasons"])
        duplicates = beside("duplicates", ["keep", "cluster_size", "cluster_dumps"])
        columns: dict[str, Any] = {name: documents[name] for name in ("site", "length", "language")}
        columns |= {
            "failed": pc.invert(verdicts["keep"]),
            "duplicate": pc.invert(duplicates["keep"]),
            "cluster_size": duplicates["cluster_size"],
            "cluster_dumps": duplicates["cluster_dumps"],
            "reasons": verdicts["reasons"],
        }
        if "safety" in paths:
            shares = ["adult_share", "gambling_share", "spam_share"]
            columns |= dict(zip(shares, beside("safety", shares).columns[1:]))
        if "classifier" in paths:
            columns["quality_score"] = beside("classifier", ["quality_score"])["quality_score"]
        if "lists" in paths:
            columns["allowed"] = beside("lists", ["allowed"])["allowed"]
        if "passages" in paths:
            columns["template_bytes"] = pa.array(_line_bytes(spans.spans_of(beside("passages", ["spans"]))))
        return pa.table(columns)


class SiteStage(Stage[JudgeParameters]):
    """The sums of all shards -> sites/NNNNN.parquet: every site of a partition with its signals and verdict"""

    name: ClassVar[str] = "sites"
    phase: ClassVar[str] = "sites"

    def expected_tasks(self, document_shards: int) -> int:
        """One a partition."""
        return self.parameters.partitions

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per partition, over all shards."""
        return [
            self.task(f"sites/{number:05d}.parquet", done["site_counts"], partition=number)
            for number in range(self.parameters.partitions)
        ]

    def run(self, task: Task) -> Counts:
        """Add up a partition's sums, a shard at a time, and judge its sites."""
        total, partition = site_stats.SUMS.empty_table(), task.arguments["partition"]
        for path in task.inputs:
            own = table.read_between(self.path(path), "partition", partition, partition, site_stats.SUMS.names)
            total = site_stats.add_up(pa.concat_tables([total, own]))
        bounds = [site_stats.Bound(signal, most) for signal, most in self.parameters.bounds.items()]
        judged = site_stats.judge(total, bounds, self.parameters.least_documents)
        dropped = judged.filter(pc.invert(judged["keep"]))
        counts = {
            "sites": len(judged),
            "dropped": len(dropped),
            "documents_dropped": int(pc.sum(dropped["documents"]).as_py() or 0),
        }
        with table.ShardWriter(self.path(task.output), site_stats.SITES) as writer:
            writer.write(judged)
            writer.metadata = task.stamp(counts)
        return counts


class DroppedStage(Stage[JudgeParameters]):
    """sites/NNNNN.parquet -> sites/dropped.parquet: the sites that fail, with their reasons"""

    name: ClassVar[str] = "dropped_sites"
    phase: ClassVar[str] = "sites"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task over all partitions."""
        return [self.task(DROPPED, done["sites"])]

    def run(self, task: Task) -> Counts:
        """Gather them."""
        rows = [DROPPED_SCHEMA.empty_table()]
        for path in task.inputs:
            found = table.read_table(self.path(path), ["site", "keep", "reasons_of_site", "documents"])
            failed = found.filter(pc.invert(found["keep"])).select(["site", "reasons_of_site", "documents"])
            rows.append(failed.rename_columns(DROPPED_SCHEMA.names))
        dropped = pa.concat_tables(rows).sort_by("site")
        counts = {"sites": len(dropped)}
        with table.ShardWriter(self.path(task.output), DROPPED_SCHEMA) as writer:
            writer.write(dropped)
            writer.metadata = task.stamp(counts)
        return counts


def partitions_of(names: pa.ChunkedArray, partitions: int) -> np.ndarray:
    """The partition of each site, int64: xxh3-64 of its name modulo their number."""
    coded = names.combine_chunks().dictionary_encode()
    hashes = (xxhash.xxh3_64_intdigest(name.encode()) for name in coded.dictionary.to_pylist())
    of = np.array([value % partitions for value in hashes], np.int64)
    return of[coded.indices.to_numpy()] if len(of) else np.zeros(0, np.int64)


def _line_bytes(found: spans.Spans) -> np.ndarray:
    """The bytes of each document in spans of the kind `line`."""
    lengths = np.where(found.kinds.to_numpy(zero_copy_only=False) == "line", found.ends - found.starts, 0)
    return np.diff(np.concatenate([[0], np.cumsum(lengths)])[found.offsets])
