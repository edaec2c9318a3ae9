"""Repeated passages through storage: `minimizers`, `repeated_minimizers`, `ngram_keys`, `repeated_ngrams`.

Each pair is a pass over the text, per group of shards, and a count, per range of keys. The first pair finds the
minimizers that occur more than once, a tenth of the text's bytes. The second finds, among the n-grams that have such a
minimizer, those that an earlier document has, or the same one before. corpus/passages/ngrams.py says why that finds
all. Where the repeated minimizers of a group do not fit in memory, its texts are read in several passes, each with some
of the minimizers: equal n-grams have equal minimizers, so they are found in the same pass.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import ClassVar

import numpy as np
import pyarrow as pa

from corpus.io.range_shuffle import Exchange
from corpus.io.sorted_runs import RunWriter
from corpus.kernels.types import U64
from corpus.passages.ngrams import minimizer_keys, minimizer_set, ngram_keys
from corpus.passages.tally import KEY_BYTES, FirstOccurrences, Tally
from pipelines.engine.shapes import gathered
from pipelines.engine.stage import Task, Upstream
from pipelines.stages.passages.exchange import (
    ALL_KEYS,
    ExchangeParameters,
    KeyCounts,
    KeyRangeStage,
    KeyStage,
    KeySubset,
    Positions,
    RepeatStage,
    Rows,
    partition_paths,
)

MINIMIZER_BYTES = 60  # of a repeated minimizer of a group, while they are put into a table

MINIMIZER_SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False)])
REPEATED_SCHEMA = pa.schema(
    [
        pa.field("group", pa.uint32(), nullable=False),  # its index among the files of minimizers
        pa.field("key", pa.uint64(), nullable=False),
    ]
)
NGRAM_SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),  # of the document within its group
        pa.field("word", pa.uint32(), nullable=False),  # at which the n-gram begins
    ]
)


class NgramParameters(ExchangeParameters):
    """And how many words an n-gram has."""

    words: int


class MinimizerStage(KeyStage[NgramParameters]):
    """documents, duplicates, verdicts of a group of shards -> dedup/minimizers/dump=D/G.parquet: key"""

    name: ClassVar[str] = "minimizers"
    folder: ClassVar[str] = "dedup/minimizers"
    schema: ClassVar[pa.Schema] = MINIMIZER_SCHEMA

    def add_all(self, task: Task, writer: RunWriter) -> KeyCounts:
        """The minimizers of the kept documents."""

        def keys(_: Rows, documents: pa.Table) -> list[U64]:
            return [minimizer_keys(documents["text"], self.parameters.words)]

        return self.add_keys(task, writer, keys)


class RepeatedMinimizerStage(KeyRangeStage[NgramParameters]):
    """dedup/minimizers/** -> dedup/repeated_minimizers/NNNNN.parquet: (group, key) of a range, for keys that occur
    twice"""

    name: ClassVar[str] = "repeated_minimizers"
    folder: ClassVar[str] = "dedup/repeated_minimizers"
    reads = ("minimizers",)

    def run(self, task: Task) -> KeyCounts:
        """Count the keys of the range, then tell each group which of its own are repeated."""
        exchange = self.exchange(task)
        counts: KeyCounts = {"documents": 0, "bytes": 0, "keys": 0}
        with RunWriter(self.path(task.output), REPEATED_SCHEMA, "group", self.parameters.run_budget) as writer:
            for window in exchange.windows(self.parameters.count_budget, KEY_BYTES):
                tally = Tally()
                for _, rows in exchange.read(window):
                    tally.add(rows["key"].to_numpy())
                for group, tables in groupby(exchange.read(window), itemgetter(0)):
                    every = (rows["key"].to_numpy() for _, rows in tables)
                    found = [np.unique(keys[tally.of(keys)[0] > 1]) for keys in every]
                    keys = np.unique(np.concatenate(found))
                    writer.add([np.full(len(keys), group, np.uint32), keys])
                counts["keys"] += len(tally.numbering)
            counts["repeated"] = writer.rows
            writer.metadata = task.stamp(counts)
        exchange.close()
        return counts


class NgramKeyStage(KeyStage[NgramParameters]):
    """documents, duplicates, verdicts of a group of shards + dedup/repeated_minimizers ->
    dedup/ngram_keys/dump=D/G.parquet: (key, row, word)"""

    name: ClassVar[str] = "ngram_keys"
    folder: ClassVar[str] = "dedup/ngram_keys"
    schema: ClassVar[pa.Schema] = NGRAM_SCHEMA

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per group of shards; without one of the partitions, passages that repeat would look new."""
        repeated = gathered(
            upstream.whole("repeated_minimizers", self.parameters.partitions), RepeatedMinimizerStage.folder
        )
        groups = self.groups(upstream)
        return [
            self.task(task.shard.below(self.folder), [*groups[task.shard], repeated], group=index)
            for index, task in enumerate(upstream["minimizers"])
        ]

    def run_bytes(self) -> int:
        """The rest is for the repeated minimizers."""
        return self.parameters.run_budget

    def add_all(self, task: Task, writer: RunWriter) -> KeyCounts:
        """The n-grams whose minimizers are repeated, in as many passes as memory asks for."""
        group, folder = task.arguments["group"], self.path(task.one("repeated_minimizers"))
        exchange = Exchange(partition_paths(folder, self.parameters.partitions), "group", group, group)
        counts: KeyCounts = {}
        waiting = [ALL_KEYS]
        while waiting:
            subset = waiting.pop()
            found = self._add_pass(task, writer, exchange, subset)
            if found is None:
                waiting += subset.halves()
            else:
                counts = found
        exchange.close()
        return counts

    def _add_pass(self, task: Task, writer: RunWriter, exchange: Exchange, subset: KeySubset) -> KeyCounts | None:
        """Add the n-grams whose minimizers are of a subset of the repeated ones; return the counts of all documents.

        Where the minimizers do not fit in memory, nothing is done and None returned. What is held ends with the call.
        """
        repeated = self._repeated(exchange, subset)
        if repeated is None:
            return None

        def keys(rows: Rows, documents: pa.Table) -> list[U64 | Rows]:
            found = ngram_keys(documents["text"], self.parameters.words, repeated)
            return [found.keys, rows[found.rows], found.words]

        return self.add_keys(task, writer, keys)

    def _repeated(self, exchange: Exchange, subset: KeySubset) -> U64 | None:
        """The table of a subset of the group's repeated minimizers; None where it does not fit."""
        mine = [np.zeros(0, np.uint64)]
        count = 0
        for rows in exchange.every(["key"]):
            keys = rows["key"].to_numpy()
            mine.append(keys[subset.has(keys)])
            count += len(mine[-1])
            if count * MINIMIZER_BYTES > self.parameters.count_budget and count > 1:
                return None
        return minimizer_set(np.concatenate(mine))


class RepeatedNgramStage(RepeatStage[NgramParameters]):
    """dedup/ngram_keys/** -> dedup/repeated_ngrams/NNNNN.parquet: (number, position) of the n-grams of a range that
    repeat one; the position is that of the first word"""

    name: ClassVar[str] = "repeated_ngrams"
    folder: ClassVar[str] = "dedup/repeated_ngrams"
    reads = ("ngram_keys",)

    def repeats(self, exchange: Exchange, firsts: U64) -> Iterator[tuple[U64, Positions]]:
        """Take the n-grams as the corpus is stored; all but the first of each repeat it."""
        for window in exchange.windows(self.parameters.count_budget, KEY_BYTES):
            first = FirstOccurrences(self.parameters.words)
            for group, rows in exchange.read(window):
                numbers, words = rows["row"].to_numpy() + firsts[group], rows["word"].to_numpy()
                again = first.repeated(rows["key"].to_numpy(), numbers, words)
                yield numbers[again], words[again]
