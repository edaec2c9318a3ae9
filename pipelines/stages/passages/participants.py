"""Whose passages are found: the documents of the sources that take part, how they are numbered, and which are kept."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.io import table
from corpus.kernels.types import U32, Bools
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Stage, Task, Upstream
from pipelines.stages.numbering import Numbering

TABLES = ("documents", "duplicates", "verdicts")  # that a shard needs to take part


def participants(upstream: Upstream, exclude: Sequence[str]) -> dict[ShardRef, list[Task]]:
    """The shards that take part, in the order of the recipe, each with its TABLES; `exclude` are dumps and sources."""
    return {shard: tasks for shard, tasks in upstream.shards(*TABLES).items() if shard.dump not in exclude}


def numbering_of(upstream: Upstream, exclude: Sequence[str]) -> Numbering:
    """The numbers of the documents in these shards, kept or not; raises NotPlanned until all documents are there."""
    shards = participants(upstream, exclude)
    counts = {task.shard: found for task, found in zip(upstream["documents"], upstream.counts("documents"))}
    return Numbering.over([tasks[0] for tasks in shards.values()], [counts[shard] for shard in shards])


def judged_documents(stage: Stage[Any], task: Task, columns: list[str]) -> Iterator[tuple[pa.Table, Bools]]:
    """The documents of the task's shards, shard by shard, a row group at a time: the rows, and which are kept.

    Raises CorruptShard where the ids of duplicates or verdicts are not those of the documents.
    """
    paths = (map(stage.path, task.of(name)) for name in TABLES)
    for documents, *judgements in zip(*paths, strict=True):
        ids = table.read_table(documents, ["id"])
        keep = np.ones(len(ids), np.bool_)
        for path in judgements:
            judged = table.read_table(path, ["id", "keep"])
            table.check_ids(judged, ids, path)
            keep &= judged["keep"].to_numpy()
        for batch in table.iter_batches(documents, columns):
            yield batch, keep[: len(batch)]
            keep = keep[len(batch) :]


def kept_documents(stage: Stage[Any], task: Task, columns: list[str]) -> Iterator[tuple[U32, pa.Table]]:
    """The kept documents of a group of shards, a row group at a time, with their rows within the group."""
    first = 0
    for batch, keep in judged_documents(stage, task, columns):
        rows = np.flatnonzero(keep)
        yield (rows + first).astype(np.uint32), batch.take(pa.array(rows))
        first += len(batch)
