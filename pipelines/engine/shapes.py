"""The shapes of stages: a task per shard, per group of shards, per part of all shards, or one. Each says what it reads.

A stage of one of these shapes has no `plan` of its own. `reads` names the stages whose outputs a task gets, and `uses`
those of which every task gets all outputs, such as an index or a tokenizer.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
from pydantic import BaseModel

from corpus.io import table
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Source, Stage, Task, Upstream, fingerprint

P = TypeVar("P", bound=BaseModel)


class ShardStage(Stage[P]):
    """A task per shard of documents: `<folder>/dump=D/N.parquet` from the tables of the same shard."""

    reads: tuple[str, ...] = ("documents",)  # stages with a task per shard; a shard that one lacks is left out
    optional: tuple[str, ...] = ()  # more such stages, read where the run has them
    uses: tuple[str, ...] = ()  # stages of which each task reads all outputs

    def arguments(self, shard: ShardRef, upstream: Upstream) -> dict[str, Any]:
        """What else decides a shard's output."""
        return {}

    def raw_inputs(self) -> Sequence[Source]:
        """Files from outside the run that each task reads."""
        return ()

    def beside(self, task: Task, stage: str, columns: Sequence[str], documents: pa.Table) -> pa.Table:
        """The id and some columns of the shard's table that a stage made.

        Raises CorruptShard unless its ids are those of `documents`, in their order.
        """
        path = self.path(task.one(stage))
        found = table.read_table(path, ["id", *columns])
        table.check_ids(found, documents, path)
        return found

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per shard that has all tables in `reads`."""
        shared: list[Task | Source] = [task for stage in self.uses for task in upstream[stage]]
        shared += self.raw_inputs()
        return [
            self.task(shard.below(self.folder), [*tasks, *shared], **self.arguments(shard, upstream))
            for shard, tasks in upstream.shards(*self.reads, optional=self.optional).items()
        ]

    def expected_tasks(self, document_shards: int) -> int | None:
        """One per shard of documents."""
        return document_shards


class GroupStage(Stage[P]):
    """A task per group of neighbouring shards of a dump: `<folder>/dump=D/G.parquet` from the tables of its shards.

    Groups keep the number of files low that meet in a partition. `parameters.shards_per_group` says how large they are.
    """

    reads: tuple[str, ...]  # stages with a task per shard; a shard that one lacks is left out
    optional: tuple[str, ...] = ()  # more such stages, read where the run has them

    @property
    def shards_per_group(self) -> int:
        """How many neighbouring shards are one group."""
        size: int = self.parameters.shards_per_group  # type: ignore[attr-defined]
        return size

    def groups(self, upstream: Upstream) -> dict[ShardRef, list[Task]]:
        """The groups in the order of their first shards, each with the tasks of all its shards, shard by shard."""
        groups: dict[ShardRef, list[Task]] = {}
        for shard, tasks in upstream.shards(*self.reads, optional=self.optional).items():
            groups.setdefault(shard.group(self.shards_per_group), []).extend(tasks)
        return groups

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per group of shards, over the tables of its shards."""
        return [self.task(group.below(self.folder), tasks) for group, tasks in self.groups(upstream).items()]

    def expected_tasks(self, document_shards: int) -> int | None:
        """About one per group of shards."""
        return -(-document_shards // self.shards_per_group)


class GatherStage(Stage[P]):
    """Tasks that each take their part of all outputs of the stages in `reads`."""

    reads: tuple[str, ...]

    @abstractmethod
    def outputs(self, upstream: Upstream) -> Iterable[tuple[str, dict[str, Any]]]:
        """The output of each task, and the arguments that say which part is its own; may depend on earlier counts."""

    def inputs(self, upstream: Upstream) -> Sequence[Task]:
        """What each task reads: all outputs of `reads`, unless a stage says otherwise."""
        return [task for stage in self.reads for task in upstream[stage]]

    def plan(self, upstream: Upstream) -> list[Task]:
        """A task per output; the inputs are hashed once and held once, however many of both there are."""
        tasks = self.inputs(upstream)
        together = gathered(tasks, self.folder)
        paths, sources = tuple(task.output for task in tasks), tuple(task.stage for task in tasks)
        return [
            replace(self.task(output, [together], **arguments), inputs=paths, sources=sources)
            for output, arguments in self.outputs(upstream)
        ]


class PartitionStage(GatherStage[P]):
    """A task per partition of a key, over all outputs of the stages in `reads`: `<folder>/NNNNN.parquet`.

    The argument `partition` is the partition's number, from 0, and `partitions` how many there are.
    """

    @abstractmethod
    def partitions(self, upstream: Upstream) -> int:
        """Into how many parts the key is cut; may depend on counts of earlier stages."""

    def outputs(self, upstream: Upstream) -> Iterator[tuple[str, dict[str, Any]]]:
        """One per partition."""
        partitions = self.partitions(upstream)
        for part in range(partitions):
            yield f"{self.folder}/{part:05d}.parquet", {"partition": part, "partitions": partitions}


class SingleStage(Stage[P]):
    """One task over all outputs of the stages in `reads`: `output`. It may look at counts and small tables only."""

    reads: tuple[str, ...]
    output: ClassVar[str]

    def plan(self, upstream: Upstream) -> list[Task]:
        """One task."""
        return [self.task(self.output, [task for stage in self.reads for task in upstream[stage]])]

    def expected_tasks(self, document_shards: int) -> int | None:
        """One."""
        return 1


def gathered(tasks: Sequence[Task], path: str) -> Source:
    """Many tasks of one stage as one input: `path` is their folder, the fingerprint stands for all of theirs."""
    return Source(path, fingerprint([task.fingerprint for task in tasks]), tasks[0].stage if tasks else "")
