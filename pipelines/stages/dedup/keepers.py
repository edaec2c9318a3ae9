"""`clusters`: choose the keepers of each component, and name one for every removed document.

A task of `clusters` takes a range of components, reads their members in windows that fit its memory, and compares
documents with keepers (`corpus.dedup.keepers`); a component that alone does not fit is elected in parts, with the same
result (`corpus.dedup.out_of_core`). The policy is read here and nowhere before, so a new threshold or policy costs this
stage and those after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.dedup.exact import hash_columns
from corpus.dedup.in_memory import id_ranks, seconds
from corpus.dedup.keepers import LEVELS, Criterion, Election, Members, cluster_sizes, elect, policy_order
from corpus.dedup.minhash import Signatures
from corpus.dedup.ordinals import dump_of
from corpus.dedup.out_of_core import elect_in_parts
from corpus.errors import HeadwaterError
from corpus.io import table
from corpus.io.range_shuffle import Exchange, Window, write_rows
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup.partition_plan import planned_layout, read_layout, tasks_over, whole
from pipelines.stages.dedup.signatures import signatures_of

_ROWS_A_GROUP = 1 << 16
MEMBER_BYTES = 300  # of a member beside its signature, while keepers are elected
BAND_BYTES = 12  # and for each of its bands
SIGNATURE_COPIES = 2.2  # the rows as they are read, and the arrays made of them
LIGHT_BYTES = 250  # of a member of a component that is elected in parts: what the policy looks at, ids, and the fate
LIGHT = ["ordinal", "id", "failed_rules", "date", "length"]

CLUSTER_SCHEMA = pa.schema(
    [
        pa.field("ordinal", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("keeper", pa.string(), nullable=False),  # id of the keeper, which is the cluster's name
        pa.field("level", pa.int8(), nullable=False),  # index into corpus.dedup.keepers.LEVELS; 0: a keeper
        pa.field("similarity", pa.float32(), nullable=False),  # to the keeper
        pa.field("size", pa.int32(), nullable=False),  # documents the keeper stands for, itself included
        pa.field("dumps", pa.int32(), nullable=False),  # distinct dumps they are in
        pa.field("first_dump", pa.int32(), nullable=False),  # position of the first of these dumps
    ]
)


class KeeperParameters(BaseModel):
    """What decides who stays, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    threshold: float
    keep: tuple[Criterion, ...]
    date: Literal["newest", "oldest"]
    urls: bool
    bands: int
    budget: int


class KeeperStage(Stage[KeeperParameters]):
    """dedup/members/** -> dedup/keepers/NNNNN.parquet, runs sorted by ordinal"""

    name: ClassVar[str] = "keepers"
    version: ClassVar[int] = 3
    phase: ClassVar[str] = "dedup"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per range of components."""
        layout = planned_layout(self.root, done)
        inputs = [*done["partition_plan"], *whole(done, "members", len(layout.groups))]
        return tasks_over(self, "dedup/keepers", inputs, layout.partitions)

    def run(self, task: Task) -> Counts:
        """Gather the members of the range, elect keepers, and write every member's fate."""
        layout = read_layout(self.root)
        paths = [self.path(f"dedup/members/{name}.parquet") for name in layout.groups]
        part = task.arguments["partition"]
        span = [(place << 64) // layout.partitions for place in (part, part + 1)]
        exchange = Exchange(paths, "place", span[0], span[1] - 1)
        counts: Counts = {"documents": 0, "bytes": 0, "removed": dict.fromkeys(LEVELS[1:4], 0)}
        with table.ShardWriter(self.path(task.output), CLUSTER_SCHEMA, dictionary=False) as writer:
            per_row = MEMBER_BYTES + BAND_BYTES * self.parameters.bands
            for window in exchange.windows(self.parameters.budget, per_row, SIGNATURE_COPIES):
                found = (self._large if window.hot else self._small)(exchange, window, per_row)
                if found is not None:
                    ids, members, election = found
                    _count(counts, members, election)
                    write_rows(writer, _fates(ids, members, election), _ROWS_A_GROUP)
            writer.metadata = task.stamp(counts)
        exchange.close()
        return counts

    def _small(
        self, exchange: Exchange, window: Window, per_row: float
    ) -> tuple[pa.ChunkedArray, Members, Election] | None:
        """The election of all components of a window."""
        tables = [rows for _, rows in exchange.read(window)]
        if not tables:
            return None
        ids, members = _members(tables)
        order = policy_order(members, self.parameters.keep, self.parameters.date == "newest")
        return ids, members, elect(members, order, self.parameters.threshold, self.parameters.urls)

    def _large(
        self, exchange: Exchange, window: Window, per_row: float
    ) -> tuple[pa.ChunkedArray, Members, Election] | None:
        """The election of one component, of which a part at a time is in memory."""
        rows = pa.concat_tables([rows for _, rows in exchange.read(window, LIGHT)])
        budget = self.parameters.budget - LIGHT_BYTES * len(rows)
        cost = exchange.cost(window.first, window.last, per_row, SIGNATURE_COPIES) / max(1, len(rows))
        held = int(budget / cost)
        if held < 2:
            raise HeadwaterError(
                f"a component of {len(rows):,} documents takes {len(rows):,} x {LIGHT_BYTES} bytes beside the "
                f"signatures, and a task of dedup may hold {self.parameters.budget:,}; raise dedup.memory_bytes"
            )
        ids = rows["id"]
        signatures = Signatures(
            np.zeros((0, 0), np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.int32)
        )
        members = _light_members(rows, signatures, np.zeros((0, 2), np.uint64), np.zeros(0, np.uint64))
        order = policy_order(members, self.parameters.keep, self.parameters.date == "newest")

        def gather(wanted: npt.NDArray[np.int64]) -> Members:
            return _members(list(_picked(exchange, window, wanted)))[1]

        return ids, members, elect_in_parts(order, gather, held, self.parameters.threshold, self.parameters.urls)


def _picked(exchange: Exchange, window: Window, wanted: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
    """Rows of a window by their place in it, in the order wanted."""
    ascending = np.argsort(wanted)
    places = wanted[ascending]
    parts, first = [], 0
    for _, rows in exchange.read(window):
        start, end = np.searchsorted(places, [first, first + len(rows)])
        parts.append(rows.take(pa.array(places[start:end] - first)))
        first += len(rows)
    back = np.empty(len(wanted), np.int64)
    back[ascending] = np.arange(len(wanted))
    yield pa.concat_tables(parts).combine_chunks().take(pa.array(back))


def _members(tables: list[pa.Table]) -> tuple[pa.ChunkedArray, Members]:
    """The ids and the arrays of rows of `members`; the list is emptied, so that rows are not held twice for long."""
    rows = pa.concat_tables(tables)
    tables.clear()
    signatures = signatures_of(rows)
    rows = rows.drop_columns(["bands", "sketch"])
    return rows["id"], _light_members(rows, signatures, hash_columns(rows["text_hash"]), rows["url_hash"].to_numpy())


def _light_members(rows: pa.Table, signatures: Signatures, text_hash: Any, url_hash: Any) -> Members:
    ordinals = rows["ordinal"].to_numpy()
    return Members(
        ordinals,
        signatures,
        text_hash,
        url_hash,
        rows["failed_rules"].to_numpy(),
        seconds(rows["date"]),
        rows["length"].to_numpy(),
        dump_of(ordinals),
        id_ranks(rows["id"]),
    )


def _count(counts: Counts, members: Members, election: Election) -> None:
    counts["documents"] += len(members.ordinals)
    counts["bytes"] += int(members.length.sum())
    for place, level in enumerate(LEVELS[:4]):
        if level:
            counts["removed"][level] += int((election.level == place).sum())


def _fates(ids: pa.ChunkedArray, members: Members, election: Election) -> pa.Table:
    """The rows of the cluster table, by ordinal."""
    size, dumps = cluster_sizes(election.keeper, members.dump)
    first = np.full(len(members.dump), np.iinfo(np.int32).max, np.int32)
    np.minimum.at(first, election.keeper, members.dump)
    order = np.argsort(members.ordinals)
    ids = ids.combine_chunks()
    columns = [
        pa.array(members.ordinals[order]),
        ids.take(pa.array(order)),
        ids.take(pa.array(election.keeper[order])),
        pa.array(election.level[order]),
        pa.array(election.similarity[order]),
        pa.array(size[order]),
        pa.array(dumps[order]),
        pa.array(first[election.keeper][order]),
    ]
    return pa.table(columns, CLUSTER_SCHEMA)
