"""`exact_keys` and `band_keys`: the keys by which documents meet, a file per group of shards, sorted for the exchange.

First the texts: of documents with equal text only the first goes on to the exchange of bands, which has twenty keys per
document; the others follow it into its component. A document that is taken down has no key at all, so it meets no
other. A file holds sorted runs, each as large as memory allows (`corpus.io.sorted_runs`).
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from corpus.dedup.bands import keys_of_kind
from corpus.dedup.exact import hash_columns
from corpus.dedup.takedown import Rules, taken_down
from corpus.io import table
from corpus.io.range_shuffle import Exchange
from corpus.io.sorted_runs import RunWriter
from pipelines.engine.shapes import GroupStage, gathered
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.stages.dedup.partitions import all_partitions
from pipelines.stages.numbering import Numbering

KEY_SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("row", pa.uint32(), nullable=False)])
Rows = npt.NDArray[np.uint32]
Keys = tuple[npt.NDArray[np.uint64], Rows]  # keys of one kind, and their rows


class KeyCounts(Counts, total=False):
    """Counts of the documents of a group, and of the keys that they have."""

    keys: int


class KeyParameters(BaseModel):
    """How shards are grouped, what a task may hold (bytes), and which documents take no part."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    budget: int
    takedown: Rules


class BandKeyParameters(KeyParameters):
    """And whether pages of the same canonical URL meet."""

    urls: bool


K = TypeVar("K", bound=KeyParameters)


class KeyStage(GroupStage[K]):
    """What the two have in common: collect the keys of a group of shards and write them as sorted runs."""

    phase: ClassVar[str] = "dedup"
    reads = ("signatures",)
    columns: ClassVar[tuple[str, ...]]  # of the signatures, that keys are made from

    @abstractmethod
    def keys(self, batch: pa.Table, rows: Rows, fresh: Rows) -> list[Keys]:
        """The keys of a batch, kind by kind: of the `rows` that take part, of which `fresh` repeat no earlier text."""

    def repeats(self, task: Task) -> npt.NDArray[np.bool_] | None:
        """Which documents of the group are known to repeat the text of an earlier one; None for none."""
        return None

    def run(self, task: Task) -> KeyCounts:
        """Collect the keys, kind by kind, shard by shard; the writer sorts them."""
        counts: KeyCounts = {"documents": 0, "bytes": 0}
        takedown, repeats = self.parameters.takedown, self.repeats(task)
        with RunWriter(
            self.path(task.output), KEY_SCHEMA, "key", self.parameters.budget, packed=KEY_SCHEMA.names
        ) as writer:
            for source, batch in self._batches(task):
                base = counts["documents"]
                counts["documents"] += len(batch)
                rows = np.arange(len(batch), dtype=np.uint32)
                if any(takedown):
                    rows = rows[~taken_down(batch, source, takedown)]
                fresh = rows if repeats is None else rows[~repeats[base + rows]]
                for kind, (keys, of) in enumerate(self.keys(batch, rows, fresh)):
                    writer.add([keys, of + np.uint32(base)], kind)
            counts["keys"] = writer.rows
            writer.metadata = task.stamp(counts)
        return counts

    def _batches(self, task: Task) -> Iterator[tuple[str, pa.Table]]:
        """The signatures of the group, a row group at a time, each with the name of its dump or source."""
        named = ["id", "site", "url"] if any(self.parameters.takedown) else []
        for path in task.of("signatures"):
            for batch in table.iter_batches(self.path(path), [*self.columns, *named]):
                yield ShardRef.of(path).dump, batch


class ExactKeyStage(KeyStage[KeyParameters]):
    """signatures of a group of shards -> dedup/exact_keys/dump=D/G.parquet: (key of the text, row within the group)"""

    name: ClassVar[str] = "exact_keys"
    version: ClassVar[int] = 3
    folder: ClassVar[str] = "dedup/exact_keys"
    columns: ClassVar[tuple[str, ...]] = ("text_hash",)

    def keys(self, batch: pa.Table, rows: Rows, fresh: Rows) -> list[Keys]:
        """Half of the hash's bits, the halves mixed; the empty text is a text."""
        text = hash_columns(batch["text_hash"])[rows]
        return [(text[:, 0] ^ text[:, 1], rows)]


class BandKeyStage(KeyStage[BandKeyParameters]):
    """signatures of a group of shards + dedup/exact_edges -> dedup/band_keys/dump=D/G.parquet: (key, row within the
    group) of bands and URLs"""

    name: ClassVar[str] = "band_keys"
    version: ClassVar[int] = 4
    folder: ClassVar[str] = "dedup/band_keys"
    columns: ClassVar[tuple[str, ...]] = ("bands", "shingles", "url_hash")

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per group of shards, with the numbers of its documents."""
        edges = all_partitions(upstream, "exact_edges")
        every = gathered(edges, "dedup/exact_edges")
        spans = Numbering.of(upstream, "signatures").groups(self.shards_per_group)
        return [
            self.task(group.below(self.folder), [*tasks, every], span=spans[group], partitions=len(edges))
            for group, tasks in self.groups(upstream).items()
        ]

    def repeats(self, task: Task) -> npt.NDArray[np.bool_]:
        """The documents that have the text of an earlier one: the second ends of exact edges."""
        first, count = task.arguments["span"]
        repeats = np.zeros(count, bool)
        folder, partitions = self.path(task.one("exact_edges")), task.arguments["partitions"]
        paths = [f"{folder}/{part:05d}.parquet" for part in range(partitions)]
        for rows in Exchange(paths, "second", first, first + count - 1).every(["second"]) if count else ():
            repeats[rows["second"].to_numpy() - np.uint64(first)] = True
        return repeats

    def keys(self, batch: pa.Table, rows: Rows, fresh: Rows) -> list[Keys]:
        """One kind per band, of documents that have words and repeat no text; and all URLs."""
        bands = hash_columns(batch["bands"])
        worded = fresh[batch["shingles"].to_numpy()[fresh] > 0]
        found = [(keys_of_kind(bands[worded, band], band), worded) for band in range(bands.shape[1])]
        if self.parameters.urls:
            url = batch["url_hash"].to_numpy()
            known = rows[url[rows] != 0]
            found.append((keys_of_kind(url[known], bands.shape[1]), known))
        return found
