"""The stage protocol: what a stage is, and how a task is known to be done.

A stage turns shards into shards. `plan` names its tasks, one output each; `run` does one of them on some worker. A
task's fingerprint is the hash of everything that decides its output's bytes: the stage's name and version, its
parameters, the task's own arguments, and the fingerprints of its inputs. The fingerprint is stored in the output
itself. So a task is done exactly when its output exists and bears the fingerprint that the plan expects. It does not
matter which run wrote it, or when.

Most stages have one of three shapes, whose planning is written once in `pipelines.engine.shapes`: a task per shard, a
task per partition, one task.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypedDict, TypeVar

import pyarrow as pa
import xxhash
from pydantic import BaseModel

from corpus.errors import HeadwaterError
from corpus.io import storage
from corpus.io.table import ShardWriter
from pipelines.engine.shard_ref import ShardRef

P = TypeVar("P", bound=BaseModel)
RAW = ""  # the stage of an input that no stage made


class Counts(TypedDict, total=False):
    """What a task counted. A stage that counts more declares a subclass of its own beside it."""

    documents: int
    bytes: int  # UTF-8 bytes of text


C = TypeVar("C", bound=Counts)


class NotPlanned(HeadwaterError):
    """The tasks of a stage cannot be named yet, because they depend on the result of an earlier one."""


def fingerprint(*parts: Any) -> str:
    """The 128-bit hash, in hex, of JSON-able values; equal values give equal fingerprints."""
    return xxhash.xxh3_128_hexdigest(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode())


@dataclass(frozen=True)
class Source:
    """An input that no stage made, or many inputs taken as one: a path, and what identifies the content."""

    path: str
    fingerprint: str
    stage: str = RAW


@dataclass(frozen=True)
class Task:
    """One output and what it is made from. Outputs and inputs are relative to the root, raw inputs are full paths."""

    stage: str
    output: str
    inputs: tuple[str, ...]
    arguments: dict[str, Any]
    fingerprint: str
    sources: tuple[str, ...] = ()  # the stage that made each input; RAW where none did

    def of(self, stage: str) -> tuple[str, ...]:
        """The inputs that a stage made, in order; `of(RAW)` are those that none made."""
        return tuple(path for path, source in zip(self.inputs, self.sources, strict=True) if source == stage)

    def one(self, stage: str) -> str:
        """The only input that a stage made."""
        [path] = self.of(stage)
        return path

    def has(self, stage: str) -> bool:
        """Whether a stage made one of the inputs."""
        return stage in self.sources

    @property
    def shard(self) -> ShardRef:
        """The shard that the output is of."""
        return ShardRef.of(self.output)

    def stamp(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        """What the output must carry in its metadata to count as done."""
        return {"stage": self.stage, "fingerprint": self.fingerprint, "counts": counts}


class Upstream(Mapping[str, Sequence[Task]]):
    """The planned tasks of the earlier stages by stage name, with the counts of those that are done.

    To ask for a stage that could not be planned is to be not planned oneself: `NotPlanned` is raised.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Sequence[Task]] = {}
        self._counts: dict[str, Sequence[Counts | None]] = {}

    def add(self, stage: str, tasks: Sequence[Task], counts: Sequence[Counts | None] = ()) -> None:
        """Add a stage's tasks and, in their order, the counts of those that are done."""
        self._tasks[stage] = tasks
        self._counts[stage] = counts

    def __getitem__(self, stage: str) -> Sequence[Task]:
        if stage not in self._tasks:
            raise NotPlanned(f"needs the shards of {stage}")
        return self._tasks[stage]

    def __contains__(self, stage: object) -> bool:
        return stage in self._tasks

    def __iter__(self) -> Any:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def whole(self, stage: str, expected: int) -> Sequence[Task]:
        """All tasks of a stage; raises NotPlanned where one was set aside, since what it holds would look absent."""
        tasks = self[stage]
        if len(tasks) != expected:
            raise NotPlanned(f"needs all {expected} parts of {stage}, and has {len(tasks)}")
        return tasks

    def counts(self, stage: str) -> Sequence[Counts]:
        """The counts of a stage's tasks, in their order; raises NotPlanned until all of them are done."""
        tasks, found = self[stage], self._counts[stage]
        counts = [one for one in found if one is not None]
        if len(counts) != len(tasks):
            raise NotPlanned(f"needs the counts of {stage}")
        return counts

    def shards(self, *stages: str, optional: Sequence[str] = ()) -> dict[ShardRef, list[Task]]:
        """The shards that every one of `stages` has a task for, in the order of the first; each with these tasks.

        A stage named in `optional` adds its task where it was planned and has one. A shard is missing where one of its
        tables had to be set aside.
        """
        tables = [{task.shard: task for task in self[stage]} for stage in stages]
        more = [{task.shard: task for task in self[stage]} for stage in optional if stage in self]
        return {
            shard: [*(table[shard] for table in tables), *(table[shard] for table in more if shard in table)]
            for shard in tables[0]
            if all(shard in table for table in tables)
        }


class NoParameters(BaseModel):
    """The parameters of a stage that has nothing to choose."""


class Stage(ABC, Generic[P]):
    """A step of the pipeline. Instances travel to the workers, so they hold the root and the parameters and no more."""

    name: ClassVar[str]  # what it makes
    phase: ClassVar[str]  # the part of a run that it belongs to, as the command line names it, e.g. dedup
    version: ClassVar[int] = 1  # raised when the same parameters begin to give other bytes
    folder: ClassVar[str] = ""  # where its outputs are
    num_cpus: ClassVar[float] = 1
    num_gpus: float = 0
    keeps_model: ClassVar[bool] = False  # whether its tasks run on actors, each of which loads something once

    def __init__(self, root: str, parameters: P) -> None:
        self.root = root
        self.parameters = parameters

    def path(self, relative: str) -> str:
        """The full path of an output or input."""
        return storage.join(self.root, relative)

    def task(self, output: str, inputs: Sequence[Task | Source], **arguments: Any) -> Task:
        """Name a task; its fingerprint covers everything that decides the output's bytes."""
        paths = tuple(item.output if isinstance(item, Task) else item.path for item in inputs)
        mark = fingerprint(
            self.name,
            self.version,
            self.parameters.model_dump(mode="json"),
            output,
            arguments,
            [item.fingerprint for item in inputs],
        )
        return Task(self.name, output, paths, arguments, mark, tuple(item.stage for item in inputs))

    @abstractmethod
    def plan(self, upstream: Upstream) -> list[Task]:
        """The tasks of this stage, given those of the earlier ones; no output need exist yet.

        Raises NotPlanned where the tasks depend on a result that is not there.
        """

    def expected_tasks(self, document_shards: int) -> int | None:
        """How many tasks there will be for so many document shards, where `plan` cannot say; None: unknown."""
        return None

    def write(self, task: Task, rows: pa.Table, counts: C) -> C:
        """Write a task's table as one row group, stamped; return its counts."""
        with ShardWriter(self.path(task.output), rows.schema) as writer:
            writer.write(rows)
            writer.metadata = task.stamp(counts)
        return counts

    @abstractmethod
    def run(self, task: Task) -> Counts:
        """Do a task on a worker: write its output, stamped, last and atomically, and return its counts."""
