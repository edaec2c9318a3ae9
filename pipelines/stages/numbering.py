"""The two numberings of a document inside deduplication: its number in the corpus, and its row in a file.

A *number* is the document's position among all documents of a run, in the order of the recipe: uint64, dense, from 0.
A *row* is its position in a file that holds one shard, or one group of neighbouring shards. A row is a number less the
number of the file's first document, so one table of first numbers turns each into the other. The table follows from
the counts of finished shards and is made anew by every plan; where it decides an output it is among the task's
arguments. No join trusts it: ids are compared wherever rows meet documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, Task, Upstream


@dataclass(frozen=True)
class Numbering:
    """Which numbers the documents of each shard have."""

    spans: dict[ShardRef, tuple[int, int]]  # of each shard, in order: its first number and how many documents it has

    @classmethod
    def of(cls, upstream: Upstream, stage: str) -> "Numbering":
        """Of the documents in the shards of a stage; raises NotPlanned until all of them are done."""
        return cls.over(upstream[stage], upstream.counts(stage))

    @classmethod
    def over(cls, tasks: Sequence[Task], counts: Sequence[Counts]) -> "Numbering":
        """Of the documents in the outputs of some tasks, a shard each."""
        sizes = [one["documents"] for one in counts]
        firsts = accumulate(sizes, initial=0)
        return cls({task.shard: (first, size) for task, first, size in zip(tasks, firsts, sizes)})

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return sum(size for _, size in self.spans.values())

    def groups(self, shards_per_group: int) -> dict[ShardRef, tuple[int, int]]:
        """Of each group of neighbouring shards, in order: its first number and how many documents it has."""
        groups: dict[ShardRef, tuple[int, int]] = {}
        for shard, (first, size) in self.spans.items():
            start, count = groups.get(shard.group(shards_per_group), (first, 0))
            groups[shard.group(shards_per_group)] = (start, count + size)
        return groups

    def dumps(self) -> dict[str, int]:
        """The first number of each dump or source, in order."""
        firsts: dict[str, int] = {}
        for shard, (first, _) in self.spans.items():
            firsts.setdefault(shard.dump, first)
        return firsts
