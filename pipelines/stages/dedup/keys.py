"""`texts` and `shuffle`: the keys by which documents meet, a file a group of shards, sorted for the exchange.

First the texts: documents of equal text are copies, and only the first of them goes on to the shuffle of bands, which
has twenty keys a document; the others follow it into its component. A document that is taken down has no key at all,
so it meets no one. A file holds sorted runs, each as large as memory allows (`corpus.io.range_shuffle`).
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.dedup.bands import keys_of_kind
from corpus.dedup.exact import hash_columns
from corpus.dedup.ordinals import shard_of
from corpus.dedup.takedown import Rules, taken_down
from corpus.io import table
from corpus.io.range_shuffle import Exchange, row_groups
from corpus.kernels.sort import sort_keys
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup.partition_plan import gathered, grouped, planned_layout, read_layout, whole

_KEYS_A_GROUP = 1 << 16  # rows of a row group: what a range of keys reads too much is at most two of them a run
HELD_BYTES = 13  # a key while a run is collected, and 20 more for those of one kind while they are sorted
KEY_SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)])
Keys = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]  # keys of one kind, and their rows


class KeyParameters(BaseModel):
    """How shards are grouped, what a task may hold (bytes), and who takes no part."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    budget: int
    takedown: Rules


class BandKeyParameters(KeyParameters):
    """And whether pages of the same canonical URL meet."""

    urls: bool


K = TypeVar("K", bound=KeyParameters)


class KeyStage(Stage[K]):
    """What the two have in common: collect the keys of a group of shards, sort what fits, write."""

    phase: ClassVar[str] = "dedup"
    columns: ClassVar[tuple[str, ...]]  # of the signatures, that keys are made from

    def expected_tasks(self, document_shards: int) -> int:
        """About one a group of shards."""
        return -(-document_shards // self.parameters.shards_per_group)

    @abstractmethod
    def keys(self, batch: pa.Table, rows: npt.NDArray[np.uint32], fresh: npt.NDArray[np.uint32]) -> list[Keys]:
        """The keys of a batch, kind by kind: of the rows that take part, of which `fresh` are no copies."""

    def copies(self, task: Task) -> npt.NDArray[np.bool_] | None:
        """Which documents of the group are known to be copies; None for none."""
        return None

    def run(self, task: Task) -> Counts:
        """Collect keys until memory is full, write them kind by kind, go on."""
        counts: Counts = {"documents": 0, "bytes": 0, "keys": 0}
        with table.ShardWriter(self.path(task.output), KEY_SCHEMA, packed=KEY_SCHEMA.names) as writer:
            waiting: list[list[Keys]] = []
            held = 0
            for keys in self._collected(task, counts):
                waiting.append(keys)
                held += sum(len(rows) for _, rows in keys)
                counts["keys"] += sum(len(rows) for _, rows in keys)
                if held * HELD_BYTES + held // len(keys) * 20 > self.parameters.budget:
                    _write_run(writer, waiting)
                    held = 0
            _write_run(writer, waiting)
            writer.metadata = task.stamp(counts)
        return counts

    def _collected(self, task: Task, counts: Counts) -> Iterator[list[Keys]]:
        takedown = self.parameters.takedown
        named = ["id", "site", "url"] if any(takedown) else []
        copies = self.copies(task)
        shards = [path for path in task.inputs if path.startswith("signatures/")]
        for path in shards:
            for batch in table.iter_batches(self.path(path), [*self.columns, *named]):
                base = counts["documents"]
                counts["documents"] += len(batch)
                rows = np.arange(len(batch), dtype=np.uint32)
                if named:
                    rows = rows[~taken_down(batch, shard_of(path)[0], takedown)]
                fresh = rows if copies is None else rows[~copies[base + rows]]
                yield [(key, row + np.uint32(base)) for key, row in self.keys(batch, rows, fresh)]


def _write_run(writer: table.ShardWriter, waiting: list[list[Keys]]) -> None:
    """Sort and write what waits, a kind at a time, and empty it; kinds of few keys share a row group."""
    kinds = len(waiting[0]) if waiting else 0
    small: list[Keys] = []
    for kind in range(kinds):
        keys, rows = (np.concatenate([some[kind][i] for some in waiting]) for i in (0, 1))
        for some in waiting:
            some[kind] = (keys[:0], rows[:0])
        small.append(sort_keys(keys, rows))
        if kind + 1 < kinds and sum(len(rows) for _, rows in small) < _KEYS_A_GROUP:
            continue
        key, row = (np.concatenate([some[i] for some in small]) for i in (0, 1))
        small.clear()
        for first, end in row_groups(key, _KEYS_A_GROUP):
            writer.write(pa.table([pa.array(key[first:end]), pa.array(row[first:end])], KEY_SCHEMA))
    waiting.clear()


class ExactKeyStage(KeyStage[KeyParameters]):
    """signatures/dump=D/* -> dedup/exact_keys/dump=D/GGGGG.parquet: (key of the text, row within the group), sorted"""

    name: ClassVar[str] = "exact_keys"
    version: ClassVar[int] = 2
    columns: ClassVar[tuple[str, ...]] = ("text_hash",)

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per group of shards."""
        groups = grouped(done["signatures"], self.parameters.shards_per_group)
        return [self.task(f"dedup/exact_keys/{name}.parquet", tasks) for name, tasks in groups.items()]

    def keys(self, batch: pa.Table, rows: npt.NDArray[np.uint32], fresh: npt.NDArray[np.uint32]) -> list[Keys]:
        """Half of the hash's bits, the halves mixed; the empty text is a text."""
        text = hash_columns(batch["text_hash"])[rows]
        return [(text[:, 0] ^ text[:, 1], rows)]


class BandKeyStage(KeyStage[BandKeyParameters]):
    """signatures/dump=D/* and dedup/exact_edges/** -> dedup/band_keys/dump=D/GGGGG.parquet: (key, row within the
    group)"""

    name: ClassVar[str] = "band_keys"
    version: ClassVar[int] = 3
    columns: ClassVar[tuple[str, ...]] = ("bands", "shingles", "url_hash")

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per group of shards."""
        layout = planned_layout(self.root, done)
        copies = whole(done, "exact_edges", layout.partitions)
        every = gathered(copies, "dedup/exact_edges")
        groups = grouped(done["signatures"], self.parameters.shards_per_group)
        return [self.task(f"dedup/band_keys/{name}.parquet", [*tasks, every]) for name, tasks in groups.items()]

    def copies(self, task: Task) -> npt.NDArray[np.bool_]:
        """The documents that have the text of an earlier one."""
        layout = read_layout(self.root)
        first, count = layout.groups[task.output.removeprefix("dedup/band_keys/").removesuffix(".parquet")]
        copies = np.zeros(count, bool)
        paths = [self.path(f"dedup/exact_edges/{part:05d}.parquet") for part in range(layout.partitions)]
        for rows in Exchange(paths, "second", first, first + count - 1).every(["second"]) if count else ():
            copies[rows["second"].to_numpy() - np.uint64(first)] = True
        return copies

    def keys(self, batch: pa.Table, rows: npt.NDArray[np.uint32], fresh: npt.NDArray[np.uint32]) -> list[Keys]:
        """One kind a band, of documents that have words and are no copies; and all URLs."""
        bands = hash_columns(batch["bands"])
        worded = fresh[batch["shingles"].to_numpy()[fresh] > 0]
        found = [(keys_of_kind(bands[worded, band], band), worded) for band in range(bands.shape[1])]
        if self.parameters.urls:
            url = batch["url_hash"].to_numpy()
            known = rows[url[rows] != 0]
            found.append((keys_of_kind(url[known], bands.shape[1]), known))
        return found
