"""How well a tokenizer fits a text: bytes of text that one token stands for, by language and by domain.

More is better: a model sees more text in the same context and the same compute. Sums are kept rather than ratios, so
that shards add up."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def sum_by(
    names: Sequence[str], num_bytes: npt.NDArray[np.int64], num_tokens: npt.NDArray[np.int64]
) -> dict[str, dict[str, int]]:
    """Documents, bytes and tokens of each name: `{name: {"documents", "bytes", "tokens"}}`, names sorted."""
    rows = pa.table({"name": pa.array(names, pa.string()), "bytes": num_bytes, "tokens": num_tokens})
    sums = rows.group_by("name", use_threads=False).aggregate([("bytes", "count"), ("bytes", "sum"), ("tokens", "sum")])
    return {
        row["name"]: {"documents": row["bytes_count"], "bytes": row["bytes_sum"], "tokens": row["tokens_sum"]}
        for row in sorted(sums.to_pylist(), key=lambda row: row["name"])
    }


def fertility(sums: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """The sums of each name, and `bytes_per_token` with them; names without tokens are left out."""
    return {
        name: {**row, "bytes_per_token": row["bytes"] / row["tokens"]}
        for name, row in sorted(sums.items())
        if row["tokens"]
    }
