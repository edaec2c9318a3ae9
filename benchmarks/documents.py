"""Documents that benchmarks read: rows of JSON lines, and texts of files up to a size."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from backports import zstd

from corpus.io import storage
from pipelines.commands.inputs import Inputs

_WINDOW: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 27}  # some files are made with zstd --long


def json_rows(path: str | Path, limit: int | None = None) -> list[dict[str, Any]]:
    """The first `limit` JSON values (None: all) of a file of JSON lines, plain or .zst."""
    if str(path).endswith(".zst"):
        with zstd.open(path, "rb", options=_WINDOW) as file:
            data = file.read()
    else:
        data = Path(path).read_bytes()
    return [json.loads(line) for line in data.split(b"\n") if line.strip()][:limit]


def tables_up_to(patterns: Sequence[str], megabytes: float) -> Iterator[pa.Table]:
    """`id` and `text` of the files, folders and globs, batch by batch, until there are so many megabytes of text."""
    limit, size = megabytes * 1e6, 0
    for batch in Inputs([file for pattern in patterns for file in storage.expand(pattern)]).batches():
        ends = pc.cumulative_sum(pc.binary_length(batch["text"]).cast(pa.int64()))
        batch = batch.slice(0, (pc.sum(pc.less(ends, limit - size)).as_py() or 0) + 1)
        yield batch
        size += text_bytes(batch["text"])
        if size >= limit:
            return


def text_bytes(texts: pa.Array | pa.ChunkedArray) -> int:
    """Bytes of UTF-8 of a column of strings."""
    return int(pc.sum(pc.binary_length(texts)).as_py() or 0)


def string_column(texts: Sequence[str]) -> pa.ChunkedArray:
    """Texts as the column that judges and kernels take."""
    return pa.chunked_array([pa.array(texts, pa.large_string())])
