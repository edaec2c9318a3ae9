"""`layout`: how many documents there are, and so into how many parts deduplication has to be cut to fit its memory.

Shards are taken in *groups*, neighbouring shards of one dump, so that a task opens a file for each group and not for
each shard. The documents are numbered through all groups in the order of the recipe; the layout says at which number
each group begins, cuts the numbers into ranges for connected components, and the keys into partitions for candidates
and clusters. It is the one thing about deduplication that depends on counts, so the stages after it are planned when
it is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from corpus.dedup.ordinals import shard_of
from corpus.errors import HeadwaterError
from corpus.io import storage, table
from pipelines.engine.stage import Counts, NotPlanned, Source, Stage, Task, fingerprint

KEY_BYTES = 44  # a key while candidates are found: itself, its document, its sorted word, and an edge of it
NODE_BYTES = 12  # a document while its range is contracted, or labelled
PATH = "dedup/partition_plan.json"


class PartitionParameters(BaseModel):
    """How shards are grouped, what a task may hold (bytes), and how many keys a document has."""

    model_config = ConfigDict(frozen=True)
    shards_per_group: int
    budget: int
    partitions: int  # at least
    kinds: int  # keys a document


class Layout(NamedTuple):
    """What layout.json says."""

    documents: int
    partitions: int  # ranges of keys, and of components
    groups: dict[str, tuple[int, int]]  # by name, in order: number of the first document, and how many there are
    ranges: tuple[int, ...]  # the first number of each range of documents, and the end of the last

    def range_of(self, number: int) -> int:
        """Which range a document is in."""
        return int(np.searchsorted(self.ranges, number, "right")) - 1


def group_name(shard: str, shards_per_group: int) -> str:
    """`dump=D/GGGGG`, the group of a shard's path."""
    dump, number = shard_of(shard)
    return f"dump={dump}/{number // shards_per_group:05d}"


def dump_positions(paths: Sequence[str]) -> dict[str, int]:
    """The position of each dump in the order in which the shards name them."""
    return {dump: place for place, dump in enumerate(dict.fromkeys(shard_of(path)[0] for path in paths))}


def grouped(tasks: Sequence[Task], shards_per_group: int) -> dict[str, list[Task]]:
    """The tasks of each group of shards, in order."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(group_name(task.output, shards_per_group), []).append(task)
    return groups


def gathered(tasks: Sequence[Task], name: str = "") -> Source:
    """Many tasks as one input, whose fingerprint stands for all of theirs."""
    return Source(name, fingerprint([task.fingerprint for task in tasks]))


def tasks_over(stage: Stage, folder: str, inputs: Sequence[Task], partitions: int) -> list[Task]:
    """A task per partition, each over all inputs; hashed once and held once, however many of both there are."""
    every = gathered(inputs)
    paths = tuple(task.output for task in inputs)
    names = [f"{folder}/{part:05d}.parquet" for part in range(partitions)]
    return [replace(stage.task(name, [every], partition=part), inputs=paths) for part, name in enumerate(names)]


def whole(done: Mapping[str, Sequence[Task]], stage: str, expected: int) -> Sequence[Task]:
    """All tasks of an earlier stage; raises NotPlanned where one is missing: its documents would look unique."""
    tasks = done[stage]
    if len(tasks) != expected:
        raise NotPlanned(f"needs all {expected} parts of {stage}, and has {len(tasks)}")
    return tasks


def read_layout(root: str) -> Layout:
    """The layout of a run."""
    value = storage.read_json(storage.join(root, PATH))
    groups = {name: (first, count) for name, first, count in value["groups"]}
    return Layout(value["documents"], value["partitions"], groups, tuple(value["ranges"]))


def planned_layout(root: str, done: Mapping[str, Sequence[Task]]) -> Layout:
    """The layout of the run being planned; raises NotPlanned where it has not been made yet."""
    [task] = done["partition_plan"]
    path = storage.join(root, PATH)
    try:
        if storage.read_json(path).get("fingerprint") == task.fingerprint:
            return read_layout(root)
    except (OSError, HeadwaterError):
        pass
    raise NotPlanned(f"needs {PATH}")


class PartitionPlanStage(Stage[PartitionParameters]):
    """dedup/exact_keys/** -> dedup/partition_plan.json"""

    name: ClassVar[str] = "partition_plan"
    phase: ClassVar[str] = "dedup"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task over the groups."""
        groups = grouped(done["signatures"], self.parameters.shards_per_group)
        return [self.task(PATH, whole(done, "exact_keys", len(groups)))]

    def run(self, task: Task) -> Counts:
        """Count the documents and cut them."""
        groups, number = [], 0
        for path in task.inputs:
            count = table.require_metadata(self.path(path))["counts"]["documents"]
            groups.append((path.removeprefix("dedup/exact_keys/").removesuffix(".parquet"), number, count))
            number += count
        budget, kinds = self.parameters.budget, self.parameters.kinds
        partitions = max(self.parameters.partitions, -(-number * kinds * KEY_BYTES // budget))
        counts = {"documents": number, "bytes": 0}
        value = {
            "documents": number,
            "partitions": partitions,
            "groups": groups,
            "ranges": node_ranges([count for _, _, count in groups], budget),
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | value)
        return counts


def node_ranges(counts: Sequence[int], budget: int) -> list[int]:
    """Where to cut the numbers of documents: whole groups of so many documents, as few ranges as the budget allows.

    Raises HeadwaterError where a single group is too much.
    """
    most = budget // NODE_BYTES
    cuts, number = [0], 0
    for count in counts:
        if count > most:
            raise HeadwaterError(
                f"a group of shards has {count:,} documents, which takes {count:,} x {NODE_BYTES} bytes to find their "
                f"components, and a task of dedup may hold {budget:,}; raise dedup.memory_bytes, or lower "
                "dedup.shards_per_group"
            )
        if number + count - cuts[-1] > most:
            cuts.append(number)
        number += count
    return [*cuts, number]
