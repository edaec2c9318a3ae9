"""`clusters`: within each component, choose the keepers by the policy and name one for every removed document.

A task takes a part of the components, gathers the signatures of just their members, and compares documents with
keepers (`corpus.dedup.keep`). The policy is read here and nowhere before, so a new threshold, policy or filter verdict
costs this stage and not the signatures.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus import table
from corpus.dedup.exact import hash_columns
from corpus.dedup.keep import LEVELS, Criterion, Election, Members, cluster_sizes, elect, policy_order
from corpus.dedup.local import id_ranks, joined, seconds
from corpus.dedup.ordinals import ROWS, dump_of
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup_candidates import bases, tasks_over, write_sorted
from pipelines.stages.dedup_signatures import signatures_of, with_prefix

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
NOT_JUDGED = np.int32(1 << 30)  # failed rules of a document that no filter has seen: after those that were judged

CLUSTER_SCHEMA = pa.schema(
    [
        pa.field("ordinal", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("keeper", pa.string(), nullable=False),  # id of the keeper, which is the cluster's name
        pa.field("level", pa.int8(), nullable=False),  # index into corpus.dedup.keep.LEVELS; 0: a keeper
        pa.field("similarity", pa.float32(), nullable=False),  # to the keeper
        pa.field("size", pa.int32(), nullable=False),  # documents the keeper stands for, itself included
        pa.field("dumps", pa.int32(), nullable=False),  # distinct dumps they are in
        pa.field("first_dump", pa.int32(), nullable=False),  # position of the first of these dumps
    ]
)


class ClusterParameters(BaseModel):
    """What decides who stays."""

    model_config = ConfigDict(frozen=True)
    threshold: float
    keep: tuple[Criterion, ...]
    date: Literal["newest", "oldest"]
    urls: bool
    partitions: int


class ClusterStage(Stage[ClusterParameters]):
    """dedup/components + signatures (+ verdicts) -> dedup/clusters/NNNNN.parquet, sorted by ordinal"""

    name: ClassVar[str] = "clusters"
    version: ClassVar[int] = 2
    group: ClassVar[str] = "dedup"

    def expected_tasks(self, document_shards: int) -> int:
        """One a partition."""
        return self.parameters.partitions

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per part of the components."""
        verdicts = with_prefix(done, "verdicts/") if "quality" in self.parameters.keep else []
        inputs = [*done["components"], *done["signatures"], *verdicts]
        return tasks_over(self, "dedup/clusters", inputs, self.parameters.partitions)

    def run(self, task: Task) -> Counts:
        """Gather the members of the part, elect keepers, and write every member's fate."""
        own = table.read_table(self.path(task.inputs[0]))
        ordinals, labels = own["ordinal"].to_numpy(), own["component"].to_numpy()
        part = ((labels * _SPREAD) >> np.uint64(32)) % np.uint64(self.parameters.partitions)
        ids, members = self._gather(task, ordinals[part == task.arguments["partition"]])
        order = policy_order(members, self.parameters.keep, self.parameters.date == "newest")
        election = elect(members, order, self.parameters.threshold, self.parameters.urls)
        counts = _counts(members, election)
        columns = _columns(ids, members, election)
        write_sorted(self.path(task.output), CLUSTER_SCHEMA, columns, task, counts)
        return counts

    def _gather(self, task: Task, ordinals: npt.NDArray[np.uint64]) -> tuple[pa.ChunkedArray, Members]:
        """The ids and the member arrays of these ordinals (ascending), from the shards that hold them."""
        shards = [path for path in task.inputs if path.startswith("signatures/")]
        verdicts = {path for path in task.inputs if path.startswith("verdicts/")}
        parts: list[pa.Table] = []
        failed = [np.zeros(0, np.int32)]
        for path, base in zip(shards, bases(shards), strict=True):
            start, end = np.searchsorted(ordinals, np.array([base, base + ROWS], np.uint64))
            if start < end or not parts:
                rows = pa.array(ordinals[start:end] - np.uint64(base))
                signed = table.read_table(self.path(path))
                parts.append(signed.take(rows))
                verdict = path.replace("signatures/", "verdicts/", 1)
                rules = self._failed_rules(verdict, signed) if verdict in verdicts else np.full(len(signed), NOT_JUDGED)
                failed.append(rules[ordinals[start:end] - np.uint64(base)].astype(np.int32))
        bands = parts[0].schema.field("bands").type.list_size
        rows = pa.concat_tables([part.drop_columns(["bands", "sketch"]) for part in parts])
        return rows["id"], Members(
            ordinals,
            joined((signatures_of(part) for part in parts), bands),
            hash_columns(rows["text_hash"]),
            rows["url_hash"].to_numpy(),
            np.concatenate(failed),
            seconds(rows["date"]),
            rows["length"].to_numpy(),
            dump_of(ordinals),
            id_ranks(rows["id"]),
        )

    def _failed_rules(self, verdict: str, signed: pa.Table) -> npt.NDArray[Any]:
        """How many filter rules each document of a shard fails; 0 where it passes."""
        judged = table.read_table(self.path(verdict), ["id", "keep", "reasons"])
        table.check_ids(judged, signed, self.path(verdict))
        failed = pc.fill_null(pc.list_value_length(judged["reasons"]), 0).to_numpy()
        return np.where(judged["keep"].to_numpy(), 0, np.maximum(failed, 1))


def _counts(members: Members, election: Election) -> Counts:
    removed = {level: int((election.level == place).sum()) for place, level in enumerate(LEVELS) if level}
    return {"documents": len(members.ordinals), "bytes": int(members.length.sum()), "removed": removed}


def _columns(ids: pa.ChunkedArray, members: Members, election: Election) -> list[Any]:
    size, dumps = cluster_sizes(election.keeper, members.dump)
    first = np.full(len(members.dump), np.iinfo(np.int32).max, np.int32)
    np.minimum.at(first, election.keeper, members.dump)
    return [
        pa.array(members.ordinals),
        ids,
        ids.take(pa.array(election.keeper)),
        pa.array(election.level),
        pa.array(election.similarity),
        pa.array(size),
        pa.array(dumps),
        pa.array(first[election.keeper]),
    ]
