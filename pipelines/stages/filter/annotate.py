"""Writing a table beside the documents: what every stage does that reads texts and says something of each."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from corpus.io import table
from pipelines.engine.stage import Counts, Stage, Task


def annotate(
    stage: Stage[Any], task: Task, schema: pa.Schema, of: Callable[[pa.Table, Counts], pa.Table], **more: Any
) -> Counts:
    """Write `of(documents, counts)` for each row group of the task's first input; return the counts.

    `documents` has id, language, length and text, and `of` gives a table of `schema` with the same rows; it may count
    what it finds in `more`, which the counts hold beside documents and bytes.
    """
    counts: Counts = {"documents": 0, "bytes": 0, **more}
    with table.ShardWriter(stage.path(task.output), schema) as writer:
        for documents in table.iter_batches(stage.path(task.inputs[0]), ["id", "language", "length", "text"]):
            writer.write(of(documents, counts))
            counts["documents"] += len(documents)
            counts["bytes"] += int(documents["length"].to_numpy().sum())
        writer.metadata = task.stamp(counts)
    return counts
