"""`keepers`: choose the keepers of each component, and name one for every removed document.

A task takes a range of components, reads their members in windows that fit its memory, and compares documents with
keepers (`corpus.dedup.keepers`). A component that alone does not fit is elected in parts, with the same result
(`corpus.dedup.out_of_core`). The policy is read here and not earlier, so a new threshold or policy costs this stage and
those after it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.dedup.bands import Numbers
from corpus.dedup.exact import hash_columns
from corpus.dedup.in_memory import id_ranks, seconds
from corpus.dedup.keepers import LEVELS, Criterion, Election, Members, cluster_sizes, elect, policy_order
from corpus.dedup.minhash import Signatures
from corpus.dedup.out_of_core import elect_in_parts
from corpus.errors import HeadwaterError
from corpus.io.range_shuffle import Exchange, Window
from corpus.io.sorted_runs import RunWriter
from pipelines.engine.shapes import PartitionStage
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.stages.dedup.signatures import signatures_of
from pipelines.stages.numbering import Numbering

MEMBER_BYTES = 300  # of a member beside its signature, while keepers are elected
BAND_BYTES = 12  # and for each of its bands
SIGNATURE_COPIES = 2.2  # the rows as they are read, and the arrays made of them
LIGHT_BYTES = 250  # of a member of a component that is elected in parts: what the policy looks at, ids, and the result
LIGHT = ["number", "id", "failed_rules", "date", "length"]

KEEPER_SCHEMA = pa.schema(
    [
        pa.field("number", pa.uint64(), nullable=False),  # of the document in the corpus
        pa.field("id", pa.string(), nullable=False),
        pa.field("keeper", pa.string(), nullable=False),  # id of the keeper, which is the cluster's name
        pa.field("level", pa.int8(), nullable=False),  # how it was removed, an index into LEVELS; 0: a keeper
        pa.field("similarity", pa.float32(), nullable=False),  # to the keeper
        pa.field("size", pa.int32(), nullable=False),  # documents of the cluster, the keeper included
        pa.field("dumps", pa.int32(), nullable=False),  # distinct dumps they are in
        pa.field("first_dump", pa.int32(), nullable=False),  # index of the first of these dumps, in the recipe's order
    ]
)


class KeeperCounts(Counts, total=False):
    """How many documents were removed at each level."""

    removed: dict[str, int]


class KeeperParameters(BaseModel):
    """What decides who stays, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    threshold: float
    keep: tuple[Criterion, ...]
    date: Literal["newest", "oldest"]
    urls: bool
    bands: int
    budget: int


class KeeperStage(PartitionStage[KeeperParameters]):
    """dedup/members/** -> dedup/keepers/NNNNN.parquet, runs sorted by number

    The argument `dumps` has the number of the first document of each dump.
    """

    name: ClassVar[str] = "keepers"
    version: ClassVar[int] = 3
    folder: ClassVar[str] = "dedup/keepers"
    phase: ClassVar[str] = "dedup"
    reads = ("members",)

    def inputs(self, upstream: Upstream) -> Sequence[Task]:
        """The members of all groups."""
        return upstream.whole("members", len(upstream["exact_keys"]))

    def partitions(self, upstream: Upstream) -> int:
        """As many as for candidates: components have no more documents than the corpus."""
        return len(upstream["candidate_edges"])

    def outputs(self, upstream: Upstream) -> Iterator[tuple[str, dict[str, Any]]]:
        """One per partition, which knows where dumps begin."""
        dumps = list(Numbering.of(upstream, "signatures").dumps().values())
        for output, arguments in super().outputs(upstream):
            yield output, arguments | {"dumps": dumps}

    def run(self, task: Task) -> KeeperCounts:
        """Gather the members of the range, elect keepers, and write what became of every member."""
        part, parts = task.arguments["partition"], task.arguments["partitions"]
        span = [(number << 64) // parts for number in (part, part + 1)]
        exchange = Exchange([self.path(path) for path in task.inputs], "key", span[0], span[1] - 1)
        dumps = np.array(task.arguments["dumps"], np.uint64)
        counts: KeeperCounts = {"documents": 0, "bytes": 0, "removed": dict.fromkeys(LEVELS[1:4], 0)}
        with RunWriter(self.path(task.output), KEEPER_SCHEMA, "number") as writer:
            per_row = MEMBER_BYTES + BAND_BYTES * self.parameters.bands
            for window in exchange.windows(self.parameters.budget, per_row, SIGNATURE_COPIES):
                found = (self._large if window.hot else self._small)(exchange, window, dumps, per_row)
                if found is not None:
                    ids, members, election = found
                    _count(counts, members, election)
                    writer.add(keeper_rows(ids, members, election))
            writer.metadata = task.stamp(counts)
        exchange.close()
        return counts

    def _small(
        self, exchange: Exchange, window: Window, dumps: Numbers, per_row: float
    ) -> tuple[pa.ChunkedArray, Members, Election] | None:
        """The election of all components of a window."""
        tables = [rows for _, rows in exchange.read(window)]
        if not tables:
            return None
        ids, members = _members(tables, dumps)
        order = policy_order(members, self.parameters.keep, self.parameters.date == "newest")
        return ids, members, elect(members, order, self.parameters.threshold, self.parameters.urls)

    def _large(
        self, exchange: Exchange, window: Window, dumps: Numbers, per_row: float
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
        signatures = Signatures(
            np.zeros((0, 0), np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.int32)
        )
        members = _light_members(rows, dumps, signatures, np.zeros((0, 2), np.uint64), np.zeros(0, np.uint64))
        order = policy_order(members, self.parameters.keep, self.parameters.date == "newest")

        def gather(wanted: npt.NDArray[np.int64]) -> Members:
            return _members([_picked(exchange, window, wanted)], dumps)[1]

        found = elect_in_parts(order, gather, held, self.parameters.threshold, self.parameters.urls)
        return rows["id"], members, found


def _picked(exchange: Exchange, window: Window, wanted: npt.NDArray[np.int64]) -> pa.Table:
    """Rows of a window by their index in it, in the order wanted."""
    ascending = np.argsort(wanted)
    indices = wanted[ascending]
    parts, first = [], 0
    for _, rows in exchange.read(window):
        start, end = np.searchsorted(indices, [first, first + len(rows)])
        parts.append(rows.take(pa.array(indices[start:end] - first)))
        first += len(rows)
    back = np.empty(len(wanted), np.int64)
    back[ascending] = np.arange(len(wanted))
    return pa.concat_tables(parts).combine_chunks().take(pa.array(back))


def _members(tables: list[pa.Table], dumps: Numbers) -> tuple[pa.ChunkedArray, Members]:
    """The ids and the arrays of rows of `members`; the list is emptied, so that rows are not held twice for long."""
    rows = pa.concat_tables(tables)
    tables.clear()
    signatures = signatures_of(rows)
    rows = rows.drop_columns(["bands", "sketch"])
    hashes = hash_columns(rows["text_hash"]), rows["url_hash"].to_numpy()
    return rows["id"], _light_members(rows, dumps, signatures, *hashes)


def _light_members(rows: pa.Table, dumps: Numbers, signatures: Signatures, text_hash: Any, url_hash: Any) -> Members:
    numbers = rows["number"].to_numpy()
    return Members(
        numbers,
        signatures,
        text_hash,
        url_hash,
        rows["failed_rules"].to_numpy(),
        seconds(rows["date"]),
        rows["length"].to_numpy(),
        (np.searchsorted(dumps, numbers, "right") - 1).astype(np.int32),
        id_ranks(rows["id"]),
    )


def _count(counts: KeeperCounts, members: Members, election: Election) -> None:
    counts["documents"] += len(members.numbers)
    counts["bytes"] += int(members.length.sum())
    for index, level in enumerate(LEVELS[:4]):
        if level:
            counts["removed"][level] += int((election.level == index).sum())


def keeper_rows(ids: pa.ChunkedArray, members: Members, election: Election) -> pa.Table:
    """The rows of the table of keepers, in the order of the members."""
    size, dumps = cluster_sizes(election.keeper, members.dump)
    first = np.full(len(members.dump), np.iinfo(np.int32).max, np.int32)
    np.minimum.at(first, election.keeper, members.dump)
    ids = ids.combine_chunks()
    columns = [
        pa.array(members.numbers),
        ids,
        ids.take(pa.array(election.keeper)),
        *map(pa.array, (election.level, election.similarity, size, dumps, first[election.keeper])),
    ]
    return pa.table(columns, KEEPER_SCHEMA)
