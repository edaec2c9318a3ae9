"""Repeated passages through storage, in four stages: `anchors`, `shared_anchors`, `windows`, `repeats`.

Each pair is a pass over the text, group by group, and a count, range by range. The first pair finds the anchors that
occur more than once, a tenth of the text's bytes; the second, among the windows that have such an anchor, those that an
earlier document has, or the same one before. corpus/passages/ngrams.py says why that finds all. Where the anchors that
a group shares do not fit in memory, its texts are read in several passes, each with some of the anchors: equal windows
have equal anchors, so they are found in the same pass.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.io import table
from corpus.io.range_shuffle import Exchange, Window
from corpus.passages.ngrams import minimizer_keys, minimizer_set, ngram_keys
from corpus.passages.tally import KEY_BYTES, FirstOccurrences, Tally
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup.partition_plan import tasks_over
from pipelines.stages.passages.shuffle import (
    GroupMarks,
    KeyWriter,
    Part,
    SortedWriter,
    by_group,
    documents_of,
    groups_of,
    kept_documents,
    key_exchange,
    whole,
    write_marks,
)

ANCHOR_BYTES = 60  # an anchor that a group shares, while they are put into a table

ANCHOR_SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False)])
SHARED_SCHEMA = pa.schema(
    [pa.field("group", pa.uint32(), nullable=False), pa.field("key", pa.uint64(), nullable=False)]
)
WINDOW_SCHEMA = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("document", pa.uint32(), nullable=False),  # its code in its group
        pa.field("word", pa.uint32(), nullable=False),  # at which the window begins
    ]
)


class NgramParameters(BaseModel):
    """What decides what repeats, and what a task may hold (bytes)."""

    model_config = ConfigDict(frozen=True)
    words: int
    exclude: tuple[str, ...]
    shards_per_group: int
    partitions: int
    budget: int


class MinimizerStage(Stage[NgramParameters]):
    """documents, duplicates, verdicts of a group of shards -> dedup/minimizers/dump=D/G.parquet: key"""

    name: ClassVar[str] = "minimizers"
    phase: ClassVar[str] = "passages"

    def expected_tasks(self, document_shards: int) -> int:
        """One a group of shards."""
        return -(-document_shards // self.parameters.shards_per_group)

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per group of shards."""
        groups = groups_of(done, self.parameters.exclude, self.parameters.shards_per_group)
        return [self.task(f"dedup/minimizers/{group}.parquet", tasks) for group, tasks in groups.items()]

    def run(self, task: Task) -> Counts:
        """Write the anchors of the kept documents."""
        counts: Counts = {"documents": 0, "bytes": 0}
        with table.ShardWriter(self.path(task.output), ANCHOR_SCHEMA, dictionary=False) as writer:
            keys = KeyWriter(writer, self.parameters.partitions, self.parameters.budget)
            for _, documents in kept_documents(self, task, self.parameters.shards_per_group, ["text"]):
                keys.add(minimizer_keys(documents["text"], self.parameters.words))
                counts["documents"] += len(documents)
                counts["bytes"] += pc.sum(pc.binary_length(documents["text"])).as_py() or 0
            keys.flush()
            writer.metadata = task.stamp(counts | {"keys": keys.rows})
        return counts | {"keys": keys.rows}


class RepeatedMinimizerStage(Stage[NgramParameters]):
    """dedup/minimizers/** -> dedup/repeated_minimizers/NNNNN.parquet: (group, key) of a range, for keys that occur
    twice"""

    name: ClassVar[str] = "repeated_minimizers"
    phase: ClassVar[str] = "passages"

    def expected_tasks(self, document_shards: int) -> int:
        """One a partition."""
        return self.parameters.partitions

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per range of keys, over the groups of all dumps."""
        return tasks_over(self, "dedup/repeated_minimizers", done["minimizers"], self.parameters.partitions)

    def run(self, task: Task) -> Counts:
        """Count the keys of the range, then tell each group which of its own are shared."""
        exchange = key_exchange(self, task, "key", self.parameters.partitions)
        counts: Counts = {"documents": 0, "bytes": 0, "keys": 0}
        with table.ShardWriter(self.path(task.output), SHARED_SCHEMA, dictionary=False) as writer:
            shared = SortedWriter(writer)
            for window in exchange.windows(self.parameters.budget, KEY_BYTES):
                tally = Tally()
                for _, rows in exchange.read(window):
                    tally.add(rows["key"].to_numpy())
                for place, tables in by_group(exchange, window):
                    every = (rows["key"].to_numpy() for rows in tables)
                    found = [np.unique(keys[tally.of(keys)[0] > 1]) for keys in every]
                    keys = np.unique(np.concatenate(found))
                    shared.add(np.full(len(keys), place, np.uint32), keys)
                shared.flush()
                counts["keys"] += len(tally.numbering)
            counts["shared"] = shared.rows
            writer.metadata = task.stamp(counts)
        exchange.close()
        return counts


class NgramKeyStage(Stage[NgramParameters]):
    """documents of a group + dedup/repeated_minimizers -> dedup/ngram_keys/dump=D/G.parquet: (key, document, word)"""

    name: ClassVar[str] = "ngram_keys"
    phase: ClassVar[str] = "passages"

    def expected_tasks(self, document_shards: int) -> int:
        """One a group of shards."""
        return -(-document_shards // self.parameters.shards_per_group)

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per group of shards."""
        shared = whole(done, "repeated_minimizers", self.parameters.partitions)
        groups = groups_of(done, self.parameters.exclude, self.parameters.shards_per_group)
        names = [task.output.removeprefix("dedup/minimizers/") for task in done["minimizers"]]
        return [
            self.task(f"dedup/ngram_keys/{name}", [*groups[name.removesuffix(".parquet")], shared], place=place)
            for place, name in enumerate(names)
        ]

    def run(self, task: Task) -> Counts:
        """Write the windows whose anchors are shared; a quarter of the memory is for what is written."""
        place = task.arguments["place"]
        paths = [self.path(f"{task.inputs[-1]}/{part:05d}.parquet") for part in range(self.parameters.partitions)]
        exchange = Exchange(paths, "group", place, place)
        counts: Counts = {}
        with table.ShardWriter(self.path(task.output), WINDOW_SCHEMA, dictionary=False) as writer:
            keys = KeyWriter(writer, self.parameters.partitions, self.parameters.budget // 4)
            waiting = [Part(0, 1)]
            while waiting:
                part = waiting.pop()
                found = self._add_windows(task, exchange, part, keys)
                if found is None:
                    waiting += part.halves()
                else:
                    counts = found
            keys.flush()
            writer.metadata = task.stamp(counts | {"keys": keys.rows})
        exchange.close()
        return counts | {"keys": keys.rows}

    def _add_windows(self, task: Task, exchange: Exchange, part: Part, keys: KeyWriter) -> Counts | None:
        """Add the windows whose anchors are of one part of those that the group shares, and return the counts of all
        documents; do nothing and return None where the anchors do not fit in memory. What is held ends with the call.
        """
        shared = self._shared(exchange, part)
        if shared is None:
            return None
        counts: Counts = {"documents": 0, "bytes": 0}
        for codes, documents in kept_documents(self, task, self.parameters.shards_per_group, ["text"]):
            found = ngram_keys(documents["text"], self.parameters.words, shared)
            keys.add(found.keys, codes[found.rows], found.words)
            counts["documents"] += len(documents)
            counts["bytes"] += pc.sum(pc.binary_length(documents["text"])).as_py() or 0
        return counts

    def _shared(self, exchange: Exchange, part: Part) -> np.ndarray | None:
        """The table of one part of the anchors that the group shares; None where it does not fit."""
        budget = self.parameters.budget - self.parameters.budget // 4
        mine = [np.zeros(0, np.uint64)]
        count = 0
        for _, rows in exchange.read(Window(exchange.first, exchange.last, hot=False), ["key"]):
            keys = rows["key"].to_numpy()
            mine.append(keys[part.has(keys)])
            count += len(mine[-1])
            if count * ANCHOR_BYTES > budget and count > 1:
                return None
        return minimizer_set(np.concatenate(mine))


class RepeatedNgramStage(Stage[NgramParameters]):
    """dedup/ngram_keys/** -> dedup/repeated_ngrams/NNNNN.parquet: (document, word) of the windows of a range that
    repeat one"""

    name: ClassVar[str] = "repeated_ngrams"
    phase: ClassVar[str] = "passages"

    def expected_tasks(self, document_shards: int) -> int:
        """One a partition."""
        return self.parameters.partitions

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per range of keys, over the groups of all dumps."""
        return tasks_over(self, "dedup/repeated_ngrams", done["ngram_keys"], self.parameters.partitions)

    def run(self, task: Task) -> Counts:
        """Take the windows as the corpus is stored; all but the first of each repeat it."""
        return write_marks(self, task, self._repeats(task))

    def _repeats(self, task: Task) -> GroupMarks:
        exchange = key_exchange(self, task, "key", self.parameters.partitions)
        for window in exchange.windows(self.parameters.budget, KEY_BYTES):
            first = FirstOccurrences(self.parameters.words)
            for place, tables in by_group(exchange, window):
                for rows in tables:
                    documents, words = documents_of(place, rows["document"].to_numpy()), rows["word"].to_numpy()
                    again = first.repeated(rows["key"].to_numpy(), documents, words)
                    yield place, documents[again], words[again]
        exchange.close()
