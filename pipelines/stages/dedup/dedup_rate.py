"""`dedup_rate`: what deduplication adds up to, dump by dump and site by site, from counts and two small columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.dedup.takedown import Rules
from corpus.io import storage, table
from pipelines.engine.shapes import SingleStage
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.engine.stamps import file_entry
from pipelines.stages.dedup.duplicates import DuplicateCounts

SITES_SHOWN = 200
SITES_PATH = "dedup/sites.parquet"
_ROWS_WAITING = 1 << 20  # rows of shards that are added up together
SITE_SCHEMA = pa.schema([("site", pa.string()), ("documents", pa.int64()), ("removed", pa.int64())])
SUSPICIOUS_SHARE = 0.5  # of a site's documents removed: worth a look, it may be a wiped-out source
SUSPICIOUS_DOCUMENTS = 20
ByDump = Mapping[str, Sequence[DuplicateCounts]]


class DedupRateParameters(BaseModel):
    """The rules of takedowns: what they name is counted."""

    model_config = ConfigDict(frozen=True)
    takedown: Rules = Rules()


class DedupRateStage(SingleStage[DedupRateParameters]):
    """duplicates/** + signatures/** -> dedup/dedup_rate.json, and dedup/sites.parquet beside it"""

    name: ClassVar[str] = "dedup_rate"
    version: ClassVar[int] = 3
    phase: ClassVar[str] = "dedup"
    output: ClassVar[str] = "dedup/dedup_rate.json"

    def plan(self, upstream: Upstream) -> list[Task]:
        """One task over all shards, which also knows dumps that have none."""
        shards = upstream.shards("duplicates", "signatures").values()
        dumps = list(dict.fromkeys(task.shard.dump for task in upstream["signatures"]))
        return [self.task(self.output, [task for tables in shards for task in tables], dumps=dumps)]

    def run(self, task: Task) -> Counts:
        """Add up the counts of the shards, and the sites of the signatures."""
        dumps: dict[str, list[DuplicateCounts]] = {dump: [] for dump in task.arguments["dumps"]}
        for path in task.of("duplicates"):
            dumps[ShardRef.of(path).dump].append(table.require_metadata(self.path(path))["counts"])
        sites = self._sites(task)
        with table.ShardWriter(self.path(SITES_PATH), sites.schema) as writer:
            writer.write(sites)
        every = [counts for parts in dumps.values() for counts in parts]
        counts: Counts = {"documents": sum(c["documents"] for c in every), "bytes": sum(c["bytes"] for c in every)}
        value = {
            "curve": list(curve(dumps)),
            "by_dump": [{"dump": dump, **_dump_totals(parts)} for dump, parts in dumps.items() if parts],
            "clusters_by_size": _summed(every, "clusters_by_size"),
            "sites": sites.slice(0, SITES_SHOWN).to_pylist(),
            "suspicious_sites": _suspicious(sites).to_pylist(),
            "takedown": self._takedown(every),
            "files": {SITES_PATH: file_entry(self.path(SITES_PATH))},
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | value)
        return counts

    def _takedown(self, every: Sequence[DuplicateCounts]) -> dict[str, int]:
        """How many documents each rule names: none, where it is misspelled or its documents are not in the corpus."""
        rules = self.parameters.takedown._asdict()
        none = {f"{kind}: {value}": 0 for kind, values in rules.items() for value in values}
        return none | _summed(every, "takedown")

    def _sites(self, task: Task) -> pa.Table:
        """(site, documents, removed), most removed first; memory is bounded by the number of sites."""
        total = SITE_SCHEMA.empty_table()
        waiting: list[pa.Table] = []
        for path, signed_path in zip(task.of("duplicates"), task.of("signatures"), strict=True):
            duplicates = table.read_table(self.path(path), ["id", "keep"])
            signed = table.read_table(self.path(signed_path), ["id", "site"])
            table.check_ids(duplicates, signed, self.path(path))
            removed = pc.cast(pc.invert(duplicates["keep"]), pa.int64())
            ones = pa.array(np.ones(len(signed), np.int64))
            waiting.append(pa.table([signed["site"], ones, removed], SITE_SCHEMA))
            if sum(map(len, waiting)) > max(len(total), _ROWS_WAITING):  # so that a shard costs its own rows, not all
                total, waiting = _by_site([total, *waiting]), []
        return _by_site([total, *waiting]).sort_by(
            [("removed", "descending"), ("documents", "descending"), ("site", "ascending")]
        )


def _by_site(parts: list[pa.Table]) -> pa.Table:
    groups = pa.concat_tables(parts).group_by("site", use_threads=False)
    return groups.aggregate([("documents", "sum"), ("removed", "sum")]).rename_columns(SITE_SCHEMA.names)


def curve(dumps: ByDump) -> Iterator[dict[str, Any]]:
    """For k = 1..n dumps in order: documents in them, clusters among these documents, and the share removed.

    Documents that are taken down do not count at all: what is measured is how often the same page returns. A dump of
    which every shard was set aside has its number, and no point.
    """
    began = _summed([counts for parts in dumps.values() for counts in parts], "clusters_by_first_dump")
    documents = clusters = 0
    for index, (dump, parts) in enumerate(dumps.items()):
        documents += sum(counts["documents"] - counts["removed"]["takedown"] for counts in parts)
        clusters += began.get(str(index), 0)
        if not parts:
            continue
        rate = 1 - clusters / documents if documents else 0.0
        yield {"dumps": index + 1, "dump": dump, "documents": documents, "groups": clusters, "rate": round(rate, 6)}


def _summed(
    parts: Sequence[DuplicateCounts],
    name: Literal["removed", "clusters_by_first_dump", "clusters_by_size", "takedown"],
) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in parts:
        for key, value in counts[name].items():
            total[key] = total.get(key, 0) + value
    return dict(sorted(total.items(), key=lambda item: int(item[0]) if item[0].isdigit() else 0))


def _dump_totals(parts: Sequence[DuplicateCounts]) -> dict[str, Any]:
    return {
        "documents": sum(counts["documents"] for counts in parts),
        "bytes": sum(counts["bytes"] for counts in parts),
        "kept": sum(counts["kept"] for counts in parts),
        "kept_bytes": sum(counts["kept_bytes"] for counts in parts),
        "removed": _summed(parts, "removed"),
    }


def _suspicious(sites: pa.Table) -> pa.Table:
    """Sites of some size that lost more than half of their documents."""
    share = pc.divide(pc.cast(sites["removed"], pa.float64()), pc.cast(sites["documents"], pa.float64()))
    large = pc.greater_equal(sites["documents"], SUSPICIOUS_DOCUMENTS)
    return sites.filter(pc.and_(pc.greater(share, SUSPICIOUS_SHARE), large)).slice(0, SITES_SHOWN)
