"""The view of sites as three stages.

`site_counts` adds up each shard's documents by site, and `sites` adds up the shards and judges. `dropped_sites` gathers
the few that fail, so that a stage that joins documents with them reads one small table.

A shard of sums has a row group for each partition of sites (by hash of the name). So the task of a partition reads its
own rows of every shard and nothing else.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import BaseModel, ConfigDict

from corpus import site_stats, spans
from corpus.io import table
from pipelines.config.sites import SitesParameters
from pipelines.engine.shapes import PartitionStage, ShardStage, SingleStage
from pipelines.engine.stage import Counts, Stage, Task, Upstream

DROPPED = "sites/dropped.parquet"
SUMS_SCHEMA = pa.schema([("partition", pa.int32()), *site_stats.SUMS])
DROPPED_SCHEMA = pa.schema([("site", pa.string()), ("reasons", pa.list_(pa.string())), ("documents", pa.int64())])
_SIGNALS = {  # columns of tables that are joined where the run has them
    "safety": ["adult_share", "gambling_share", "spam_share"],
    "classifier": ["quality_score"],
    "lists": ["allowed"],
}


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


class SiteCounts(Counts, total=False):
    """How many sites there are, and what is lost with those that are dropped."""

    sites: int
    dropped: int
    documents_dropped: int


class SiteCountStage(ShardStage[SumParameters]):
    """documents, verdicts, duplicates[, safety, classifier, passages, lists] -> site_counts: sums by site"""

    name: ClassVar[str] = "site_counts"
    folder: ClassVar[str] = "site_counts"
    phase: ClassVar[str] = "sites"
    reads = ("documents", "verdicts", "duplicates")
    optional = ("safety", "classifier", "passages", "lists")

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
        documents = table.read_table(self.path(task.one("documents")), ["id", "site", "length", "language"])
        verdicts = self.beside(task, "verdicts", ["keep", "reasons"], documents)
        duplicates = self.beside(task, "duplicates", ["keep", "cluster_size", "cluster_dumps"], documents)
        columns: dict[str, Any] = {name: documents[name] for name in ("site", "length", "language")}
        columns |= {
            "failed": pc.invert(verdicts["keep"]),
            "duplicate": pc.invert(duplicates["keep"]),
            "cluster_size": duplicates["cluster_size"],
            "cluster_dumps": duplicates["cluster_dumps"],
            "reasons": verdicts["reasons"],
        }
        for stage, names in _SIGNALS.items():
            if task.has(stage):
                found = self.beside(task, stage, names, documents)
                columns |= {name: found[name] for name in names}
        if task.has("passages"):
            cut = self.beside(task, "passages", ["spans"], documents)
            columns["template_bytes"] = pa.array(_line_bytes(spans.spans_of(cut)))
        return pa.table(columns)


class SiteStage(PartitionStage[JudgeParameters]):
    """The sums of all shards -> sites/NNNNN.parquet: every site of a partition with its signals and verdict"""

    name: ClassVar[str] = "sites"
    folder: ClassVar[str] = "sites"
    phase: ClassVar[str] = "sites"
    reads = ("site_counts",)

    def partitions(self, upstream: Upstream) -> int:
        """As the recipe says."""
        return self.parameters.partitions

    def expected_tasks(self, document_shards: int) -> int:
        """One per partition."""
        return self.parameters.partitions

    def run(self, task: Task) -> SiteCounts:
        """Add up a partition's sums, a shard at a time, and judge its sites."""
        total, partition = site_stats.SUMS.empty_table(), task.arguments["partition"]
        for path in task.inputs:
            own = table.read_between(self.path(path), "partition", partition, partition, site_stats.SUMS.names)
            total = site_stats.add_up(pa.concat_tables([total, own]))
        bounds = [site_stats.Bound(signal, most) for signal, most in self.parameters.bounds.items()]
        judged = site_stats.judge(total, bounds, self.parameters.least_documents)
        dropped = judged.filter(pc.invert(judged["keep"]))
        documents = int(pc.sum(dropped["documents"]).as_py() or 0)
        counts: SiteCounts = {"sites": len(judged), "dropped": len(dropped), "documents_dropped": documents}
        return self.write(task, judged.cast(site_stats.SITES), counts)


class DroppedStage(SingleStage[JudgeParameters]):
    """sites/NNNNN.parquet -> sites/dropped.parquet: the sites that fail, with their reasons"""

    name: ClassVar[str] = "dropped_sites"
    phase: ClassVar[str] = "sites"
    reads = ("sites",)
    output: ClassVar[str] = DROPPED

    def run(self, task: Task) -> SiteCounts:
        """Gather them."""
        rows = [DROPPED_SCHEMA.empty_table()]
        for path in task.inputs:
            found = table.read_table(self.path(path), ["site", "keep", "reasons_of_site", "documents"])
            failed = found.filter(pc.invert(found["keep"])).select(["site", "reasons_of_site", "documents"])
            rows.append(failed.rename_columns(DROPPED_SCHEMA.names))
        dropped = pa.concat_tables(rows).sort_by("site")
        counts: SiteCounts = {"sites": len(dropped)}
        return self.write(task, dropped, counts)


def partitions_of(names: pa.ChunkedArray, partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each site, int64: xxh3-64 of its name modulo their number."""
    coded = names.combine_chunks().dictionary_encode()
    hashes = (xxhash.xxh3_64_intdigest(name.encode()) for name in coded.dictionary.to_pylist())
    of = np.array([value % partitions for value in hashes], np.int64)
    return of[coded.indices.to_numpy()] if len(of) else np.zeros(0, np.int64)


def _line_bytes(found: spans.Spans) -> npt.NDArray[np.int64]:
    """The bytes of each document in spans of the kind `line`."""
    lengths = np.where(found.kinds.to_numpy(zero_copy_only=False) == "line", found.ends - found.starts, 0)
    return np.diff(np.concatenate([[0], np.cumsum(lengths)])[found.offsets])
