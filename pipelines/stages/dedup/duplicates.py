"""The last two stages of deduplication: `duplicates`, the fate of every document, and `curve`, what it adds up to.

duplicates/dump=D/N.parquet has the rows of documents/dump=D/N.parquet. A document that shares no bucket with another is
a cluster of one. The counts of each shard say in which dump its clusters began, so the deduplication rate over the
first k dumps, for every k, is a sum of counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.dedup.keepers import LEVELS, TAKEDOWN
from corpus.dedup.ordinals import ROWS, first_ordinal, shard_of
from corpus.dedup.takedown import Rules, named_by, taken_down
from corpus.errors import CorruptShard
from corpus.io import storage, table
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup.partition_plan import dump_positions, group_name, planned_layout, whole

SITES_SHOWN = 200
_ROWS_WAITING = 1 << 20  # rows of shards that are added up together
SITE_SCHEMA = pa.schema([("site", pa.string()), ("documents", pa.int64()), ("removed", pa.int64())])
SUSPICIOUS_SHARE = 0.5  # of a site's documents removed: worth a look, it may be a wiped-out source
SUSPICIOUS_DOCUMENTS = 20
DUPLICATES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("keep", pa.bool_(), nullable=False),
        pa.field("level", pa.string()),  # why it is removed: exact, url, near or takedown
        pa.field("duplicate_of", pa.string()),  # the id of its keeper
        pa.field("similarity", pa.float32()),  # Jaccard similarity to its keeper
        pa.field("cluster", pa.string(), nullable=False),  # the id of the keeper, its own for a keeper
        pa.field("cluster_size", pa.int32(), nullable=False),  # documents the keeper stands for, itself included
        pa.field("cluster_dumps", pa.int32(), nullable=False),  # distinct dumps they are in
    ]
)


class DuplicateParameters(BaseModel):
    """How shards are grouped, and which documents are in no cluster because they are taken down."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    takedown: Rules = Rules()


def duplicates_table(ids: pa.Array, rows: Any, fates: pa.Table, gone: Any) -> pa.Table:
    """The duplicates rows of documents `ids`, of which those at `rows` (int64) have the fates of a cluster table and
    those where `gone` are taken down."""
    total = len(ids)
    level = np.zeros(total, np.int8)
    level[rows] = fates["level"].to_numpy()
    level[gone] = TAKEDOWN
    keep = pa.array(level == 0)
    named = pa.array((level == 0) | gone)
    cluster = pc.replace_with_mask(ids, _mask(total, rows), fates["keeper"].combine_chunks())
    similarity = np.ones(total, np.float32)
    similarity[rows] = fates["similarity"].to_numpy()
    size, dumps = np.ones(total, np.int32), np.ones(total, np.int32)
    size[rows], dumps[rows] = fates["size"].to_numpy(), fates["dumps"].to_numpy()
    names = pa.array([name or None for name in LEVELS], pa.string())
    columns = [
        ids,
        keep,
        names.take(pa.array(level)),
        pc.if_else(named, None, cluster),
        pc.if_else(named, None, pa.array(similarity)),
        cluster,
        pa.array(size),
        pa.array(dumps),
    ]
    return pa.table(columns, DUPLICATES_SCHEMA)


def _mask(total: int, rows: Any) -> pa.Array:
    mask = np.zeros(total, bool)
    mask[rows] = True
    return pa.array(mask)


class DuplicateStage(Stage[DuplicateParameters]):
    """dedup/keepers_by_shard/dump=D/GGGGG.parquet + signatures/dump=D/N.parquet -> duplicates/dump=D/N.parquet"""

    name: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 4
    folder: ClassVar[str] = "duplicates"
    phase: ClassVar[str] = "dedup"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard."""
        signatures = done["signatures"]
        positions = dump_positions([task.output for task in signatures])
        layout = planned_layout(self.root, done)
        fates = {task.output: task for task in whole(done, "keepers_by_shard", len(layout.groups))}
        return [
            self.task(
                task.output.replace("signatures/", "duplicates/", 1),
                [
                    task,
                    fates[
                        f"dedup/keepers_by_shard/{group_name(task.output, self.parameters.shards_per_group)}.parquet"
                    ],
                ],
                position=positions[shard_of(task.output)[0]],
            )
            for task in signatures
        ]

    def run(self, task: Task) -> Counts:
        """Join the shard with its fates, checking ids, and write it."""
        signed = table.read_table(self.path(task.inputs[0]), ["id", "length", "site", "url"]).combine_chunks()
        ids = signed["id"].combine_chunks() if len(signed) else pa.array([], pa.string())
        source, number = shard_of(task.output)
        base = first_ordinal(task.arguments["position"], number)
        fates = table.read_between(self.path(task.inputs[1]), "ordinal", base, base + ROWS - 1).combine_chunks()
        rows = (fates["ordinal"].to_numpy() - np.uint64(base)).astype(np.int64)
        if len(rows) and (rows[-1] >= len(ids) or not ids.take(pa.array(rows)).equals(fates["id"].combine_chunks())):
            raise CorruptShard(self.path(task.inputs[0]), "its ids are not those that the clusters were made from")
        gone = taken_down(signed, source, self.parameters.takedown)
        result = duplicates_table(ids, rows, fates, gone)
        counts = self._counts(task, result, fates, rows, signed["length"].to_numpy())
        counts["takedown"] = named_by(signed, source, self.parameters.takedown)
        with table.ShardWriter(self.path(task.output), DUPLICATES_SCHEMA) as writer:
            writer.write(result)
            writer.metadata = task.stamp(counts)
        return counts

    @staticmethod
    def _counts(task: Task, result: pa.Table, fates: pa.Table, rows: Any, length: Any) -> Counts:
        keep = result["keep"].to_numpy()
        began = np.full(len(result), task.arguments["position"])
        began[rows] = fates["first_dump"].to_numpy()
        place, groups = np.unique(began[keep], return_counts=True)
        bins, clusters = np.unique(np.log2(result["cluster_size"].to_numpy()[keep]).astype(int), return_counts=True)
        levels = {name: pc.sum(pc.equal(result["level"], name)).as_py() or 0 for name in LEVELS if name}
        return {
            "documents": len(result),
            "bytes": int(length.sum()),
            "kept": int(keep.sum()),
            "kept_bytes": int(length[keep].sum()),
            "removed": levels,
            "clusters_by_first_dump": {str(p): int(n) for p, n in zip(place, groups)},
            "clusters_by_size": {
                str(1 << b): int(n) for b, n in zip(bins.tolist(), clusters)
            },  # size >= key, < twice it
        }


class DedupRateParameters(BaseModel):
    """The rules of takedowns: what they name is counted."""

    model_config = ConfigDict(frozen=True)
    takedown: Rules = Rules()


class DedupRateStage(Stage[DedupRateParameters]):
    """duplicates/** -> dedup/dedup_rate.json, and dedup/sites.parquet beside it"""

    name: ClassVar[str] = "dedup_rate"
    version: ClassVar[int] = 3
    phase: ClassVar[str] = "dedup"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task over all shards."""
        known = {task.output.replace("duplicates/", "signatures/", 1) for task in done["duplicates"]}
        signatures = [task for task in done["signatures"] if task.output in known]
        dumps = list(dump_positions([task.output for task in done["signatures"]]))
        return [self.task("dedup/dedup_rate.json", [*done["duplicates"], *signatures], dumps=dumps)]

    def run(self, task: Task) -> Counts:
        """Add up the counts of the shards, and the sites of the signatures."""
        shards = [path for path in task.inputs if path.startswith("duplicates/")]
        dumps: dict[str, list[Counts]] = {dump: [] for dump in task.arguments["dumps"]}
        for path in shards:
            metadata = table.require_metadata(self.path(path))
            dumps[shard_of(path)[0]].append(metadata["counts"])
        sites = self._sites(shards)
        table_path = "dedup/sites.parquet"
        with table.ShardWriter(self.path(table_path), sites.schema) as writer:
            writer.write(sites)
        every = [counts for shard_counts in dumps.values() for counts in shard_counts]
        counts = {"documents": sum(c["documents"] for c in every), "bytes": sum(c["bytes"] for c in every)}
        value = {
            "curve": list(curve(dumps)),
            "by_dump": [{"dump": dump, **_dump_totals(parts)} for dump, parts in dumps.items() if parts],
            "clusters_by_size": _summed(every, "clusters_by_size"),
            "sites": sites.slice(0, SITES_SHOWN).to_pylist(),
            "suspicious_sites": _suspicious(sites).to_pylist(),
            "takedown": self._takedown(every),
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | value)
        return counts

    def _takedown(self, every: Sequence[Counts]) -> dict[str, int]:
        """How many documents each rule names: none, where it is misspelled or its documents are not in the corpus."""
        rules = self.parameters.takedown._asdict()
        none = {f"{kind}: {value}": 0 for kind, values in rules.items() for value in values}
        return none | _summed(every, "takedown")

    def _sites(self, shards: Sequence[str]) -> pa.Table:
        """(site, documents, removed), most removed first; memory is bounded by the number of sites."""
        total = SITE_SCHEMA.empty_table()
        waiting: list[pa.Table] = []
        for path in shards:
            fates = table.read_table(self.path(path), ["id", "keep"])
            signed = table.read_table(self.path(path.replace("duplicates/", "signatures/", 1)), ["id", "site"])
            table.check_ids(fates, signed, self.path(path))
            removed = pc.cast(pc.invert(fates["keep"]), pa.int64())
            waiting.append(pa.table([signed["site"], pa.array(np.ones(len(fates), np.int64)), removed], SITE_SCHEMA))
            if sum(map(len, waiting)) > max(len(total), _ROWS_WAITING):  # so that a shard costs its own rows, not all
                total, waiting = _by_site([total, *waiting]), []
        return _by_site([total, *waiting]).sort_by(
            [("removed", "descending"), ("documents", "descending"), ("site", "ascending")]
        )


def _by_site(parts: list[pa.Table]) -> pa.Table:
    groups = pa.concat_tables(parts).group_by("site", use_threads=False)
    return groups.aggregate([("documents", "sum"), ("removed", "sum")]).rename_columns(SITE_SCHEMA.names)


def curve(dumps: Mapping[str, Sequence[Counts]]) -> Iterator[dict[str, Any]]:
    """For k = 1..n dumps in order: documents in them, clusters among these documents, and the share removed.

    Documents that are taken down do not count at all: what is measured is how often the same page returns. A dump of
    which every shard was set aside has its place, and no point.
    """
    began = _summed([counts for parts in dumps.values() for counts in parts], "clusters_by_first_dump")
    documents = groups = 0
    for place, (dump, parts) in enumerate(dumps.items()):
        documents += sum(counts["documents"] - counts["removed"]["takedown"] for counts in parts)
        groups += began.get(str(place), 0)
        if not parts:
            continue
        rate = 1 - groups / documents if documents else 0.0
        yield {"dumps": place + 1, "dump": dump, "documents": documents, "groups": groups, "rate": round(rate, 6)}


def _summed(parts: Sequence[Counts], name: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in parts:
        for key, value in counts[name].items():
            total[key] = total.get(key, 0) + value
    return dict(sorted(total.items(), key=lambda item: int(item[0]) if item[0].isdigit() else 0))


def _dump_totals(parts: Sequence[Counts]) -> dict[str, Any]:
    sums = {name: sum(counts[name] for counts in parts) for name in ("documents", "bytes", "kept", "kept_bytes")}
    return {**sums, "removed": _summed(parts, "removed")}


def _suspicious(sites: pa.Table) -> pa.Table:
    """Sites of some size that lost more than half of their documents."""
    share = pc.divide(pc.cast(sites["removed"], pa.float64()), pc.cast(sites["documents"], pa.float64()))
    large = pc.greater_equal(sites["documents"], SUSPICIOUS_DOCUMENTS)
    return sites.filter(pc.and_(pc.greater(share, SUSPICIOUS_SHARE), large)).slice(0, SITES_SHOWN)
