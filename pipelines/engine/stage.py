"""The stage protocol: what a stage is, and how a task is known to be done.

A stage turns shards into shards. `plan` names its tasks, one output each; `run` does one of them on some worker. A
task's fingerprint is the hash of everything that decides its output's bytes: the stage's name and version, its
parameters, the task's own arguments, and the fingerprints of its inputs. The fingerprint is stored in the output
itself. So a task is done exactly when its output exists and bears the fingerprint that the plan expects, whoever
wrote it, and whenever."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import xxhash
from pydantic import BaseModel

from corpus.errors import HeadwaterError
from corpus.io import storage

Counts = dict[str, Any]
P = TypeVar("P", bound=BaseModel)


class NotPlanned(HeadwaterError):
    """The tasks of a stage cannot be named yet, because they depend on the result of an earlier one."""


def fingerprint(*parts: Any) -> str:
    """The 128-bit hash, in hex, of JSON-able values; equal values give equal fingerprints."""
    return xxhash.xxh3_128_hexdigest(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode())


@dataclass(frozen=True)
class Source:
    """A raw input, not made by any stage: its path and what identifies its content."""

    path: str
    fingerprint: str


@dataclass(frozen=True)
class Task:
    """One output shard and what it is made from. Outputs and inputs are relative to the root, raw inputs are full
    paths."""

    stage: str
    output: str
    inputs: tuple[str, ...]
    arguments: dict[str, Any]
    fingerprint: str

    def stamp(self, counts: Counts) -> dict[str, Any]:
        """What the output must carry in its metadata to count as done."""
        return {"stage": self.stage, "fingerprint": self.fingerprint, "counts": counts}


class NoParameters(BaseModel):
    """The parameters of a stage that has nothing to choose."""


class Stage(ABC, Generic[P]):
    """A step of the pipeline. Instances travel to the workers, so they hold the root and the parameters and no more."""

    name: ClassVar[str]
    phase: ClassVar[str]  # the command line's name for the stages that belong together, e.g. dedup
    version: ClassVar[int] = 1  # raised when the same parameters begin to give other bytes
    folder: ClassVar[str] = ""  # where its outputs are, if it makes one for each document shard
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
        return Task(self.name, output, paths, arguments, mark)

    @abstractmethod
    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """The tasks of this stage, given those of the earlier ones by stage name; no output need exist yet.

        Raises NotPlanned where the tasks depend on a result that is not there.
        """

    def expected_tasks(self, document_shards: int) -> int | None:
        """How many tasks there will be for so many document shards, where `plan` cannot say; None where nobody can."""
        return document_shards if self.folder else None

    @abstractmethod
    def run(self, task: Task) -> Counts:
        """Do a task on a worker: write its output, stamped, last and atomically, and return its counts."""
