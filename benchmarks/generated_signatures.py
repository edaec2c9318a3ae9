"""Signatures of a corpus whose clusters are known: what benchmarks/dedup_scale.py deduplicates.

Cluster sizes follow what FineWeb-2 counts imply for its Chinese part: 3.94 billion documents or more in 1.486 billion
clusters, of which 955 million (64%) are single documents. So the others have 5.6 documents on average (clusters
beyond 150 not counted): a power law from 2 to 150 of that mean. One hub is added, a template of a million pages.

In a cluster of documents one is the original, the longest. Of the others, 30% have its text. The rest share each band
with probability 0.6, that of pairs with a Jaccard similarity of 0.9, and 11 of 12 shingles with the original
(similarity 11/13). But with each other only 10 of 14, below the threshold: so exactly the originals stay. One single
document in a hundred shares a band with a cluster that it has nothing else in common with.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit
from pydantic import BaseModel, ConfigDict

from corpus.dedup.exact import hash_binary
from corpus.dedup.minhash import Scheme
from corpus.io import table
from corpus.kernels.hashing import fmix64
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup.signatures import signature_schema

SINGLE, MEAN, LARGEST = 955 / 1486, (3940 - 955) / (1486 - 955), 150  # of the FineWeb-2 counts, in millions
COPIES, SHARED_BAND, STRAY = 0.3, 0.6, 0.01
SHINGLES = 12
_U64 = np.uint64
_ROWS_A_GROUP = 25_000
_DAY = 86_400


class Corpus(NamedTuple):
    """The clusters and where their documents are."""

    starts: npt.NDArray[np.uint32]  # of each cluster, in the order of clusters; and the number of documents
    order: npt.NDArray[np.uint32]  # of each document of the corpus: its place in the order of clusters


def cluster_sizes(documents: int, hub: int) -> npt.NDArray[np.int64]:
    """So many sizes, the hub first, that they add up to `documents`."""
    sizes = np.arange(2, LARGEST + 1)
    low, high = 1.0, 4.0
    for _ in range(60):
        power = (low + high) / 2
        weights = sizes**-power
        low, high = (power, high) if (weights * sizes).sum() / weights.sum() > MEAN else (low, power)
    rng = np.random.default_rng(2401)
    wanted = int((documents - hub) / (SINGLE + (1 - SINGLE) * MEAN) * 1.05) + 100
    drawn = np.where(rng.random(wanted) < SINGLE, 1, rng.choice(sizes, wanted, p=weights / weights.sum()))
    ends = np.cumsum(drawn)
    whole = int(np.searchsorted(ends, documents - hub))
    rest = documents - hub - (int(ends[whole - 1]) if whole else 0)
    return np.concatenate([[hub] if hub else [], drawn[:whole], [rest] if rest else []]).astype(np.int64)


def corpus(documents: int, hub: int) -> Corpus:
    """The clusters, dealt at random over the documents; 8 bytes per document."""
    starts = np.concatenate([[0], np.cumsum(cluster_sizes(documents, hub))]).astype(np.uint32)
    return Corpus(starts, np.random.default_rng(7).permutation(documents).astype(np.uint32))


@njit(nogil=True, cache=True)
def _fill(clusters, members, sizes, all_clusters, bands, sketch, texts, ids, lengths):  # type: ignore[no-untyped-def]
    """Fill the arrays of documents, given the cluster, the place in it (0: the original) and the size of each."""
    width = bands.shape[1]
    stratum = _U64((1 << 32) // SHINGLES)
    for row in range(len(clusters)):
        cluster, member = _U64(clusters[row]), _U64(members[row])
        own = fmix64(cluster * _U64(0x9E3779B97F4A7C15) + member * _U64(0xD1B54A32D192ED03) + _U64(1))
        chance = fmix64(own)
        copy = member == 0 or (chance >> _U64(40)) < COPIES * (1 << 24)
        base = fmix64(cluster + _U64(1 << 40))
        one = np.int64(own % _U64(width))  # a band that is surely shared
        for band in range(width):
            shared = fmix64(base + _U64(band))
            mine = fmix64(own ^ fmix64(_U64(band) + _U64(77)))
            bands[row, band] = shared if copy or band == one or (mine >> _U64(40)) < SHARED_BAND * (1 << 24) else mine
        if sizes[row] == 1 and (chance & _U64(0xFFFF)) < STRAY * 65536:
            other = fmix64(fmix64(chance) % _U64(all_clusters) + _U64(1 << 40))
            bands[row, one] = fmix64(other + _U64(one))
        for i in range(SHINGLES):
            sketch[row, i] = np.uint32(_U64(i) * stratum + fmix64(base ^ _U64(i)) % stratum)
        if not copy:
            place = np.int64(chance % _U64(SHINGLES))
            sketch[row, place] = np.uint32(_U64(place) * stratum + fmix64(chance) % stratum)
        texts[row, 0] = base if copy else own
        texts[row, 1] = fmix64(texts[row, 0])
        ids[row, 0], ids[row, 1] = own, fmix64(own + _U64(5))
        lengths[row] = 5000 if member == 0 else 1000 + np.int64(chance % _U64(3000))


def shard(where: Corpus, first: int, count: int, scheme: Scheme) -> pa.Table:
    """The signatures of the documents `first` to `first + count - 1`."""
    places = where.order[first : first + count]
    clusters = np.searchsorted(where.starts, places, "right") - 1
    members = (places - where.starts[clusters]).astype(np.int64)
    sizes = np.diff(where.starts.astype(np.int64))[clusters]
    bands = np.empty((count, scheme.bands), np.uint64)
    sketch = np.empty((count, SHINGLES), np.uint32)
    texts, ids = np.empty((count, 2), np.uint64), np.empty((count, 2), np.uint64)
    lengths = np.empty(count, np.int64)
    _fill(clusters, members, sizes, len(where.starts) - 1, bands, sketch, texts, ids, lengths)
    digits = np.frombuffer(ids.tobytes().hex().encode(), np.uint8)
    columns: list[Any] = [
        pa.StringArray.from_buffers(
            count, pa.py_buffer(np.arange(0, 32 * count + 1, 32, dtype=np.int32)), pa.py_buffer(digits)
        ),
        hash_binary(bands),
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(4 * SHINGLES), count, [None, pa.py_buffer(sketch)]).cast(
            pa.large_binary()
        ),
        pa.array(np.full(count, SHINGLES, np.int32)),
        pa.array(lengths),
        pa.array(1_500_000_000 + _DAY * (lengths % 2000), pa.timestamp("s", "UTC")),
        hash_binary(texts),
        pa.array(np.zeros(count, np.uint64)),
        pa.nulls(count, pa.string()),
        pa.nulls(count, pa.string()),
    ]
    return pa.table(columns, signature_schema(scheme, minima=False))


class GeneratorParameters(BaseModel):
    """What is generated."""

    model_config = ConfigDict(frozen=True)
    documents: int
    hub: int
    shard: int  # documents per shard
    dumps: int
    bands: int


class GeneratedSignatures(Stage[GeneratorParameters]):
    """-> signatures/dump=D/N.parquet; a task per dump, since all need the whole order of documents."""

    name: ClassVar[str] = "signatures"
    phase: ClassVar[str] = "dedup"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard."""
        shards = -(-self.parameters.documents // self.parameters.shard)
        per_dump = -(-shards // self.parameters.dumps)
        return [
            self.task(f"signatures/dump=D{number // per_dump:02d}/{number % per_dump:05d}.parquet", [], number=number)
            for number in range(shards)
        ]

    def run(self, task: Task) -> Counts:
        """Write one shard."""
        asked = self.parameters
        global _made
        if _made is None or _made[0] != asked:
            _made = (asked, corpus(asked.documents, asked.hub))
        scheme = Scheme(bands=asked.bands, sketch_size=SHINGLES)
        first = task.arguments["number"] * asked.shard
        rows = shard(_made[1], first, min(asked.shard, asked.documents - first), scheme)
        with table.ShardWriter(self.path(task.output), rows.schema, dictionary=False) as writer:
            for at in range(0, len(rows), _ROWS_A_GROUP):
                writer.write(rows.slice(at, _ROWS_A_GROUP))
            counts: Counts = {"documents": len(rows), "bytes": int(np.sum(rows["length"].to_numpy()))}
            writer.metadata = task.stamp(counts)
        return counts


_made: tuple[GeneratorParameters, Corpus] | None = None


def expected(documents: int, hub: int) -> dict[str, int]:
    """The truth: clusters, documents in clusters of two or more, and copies of an original's text among them."""
    sizes = cluster_sizes(documents, hub)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    members = np.arange(documents) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return {"clusters": len(sizes), "copies": int(_copies(clusters, members))}


@njit(nogil=True, cache=True)
def _copies(clusters, members):  # type: ignore[no-untyped-def]
    total = 0
    for row in range(len(clusters)):
        if members[row]:
            own = fmix64(
                _U64(clusters[row]) * _U64(0x9E3779B97F4A7C15) + _U64(members[row]) * _U64(0xD1B54A32D192ED03) + _U64(1)
            )
            total += (fmix64(own) >> _U64(40)) < COPIES * (1 << 24)
    return total
