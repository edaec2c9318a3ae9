"""`token_shards`: the documents of one shard, a range of orders, gathered from all encoded shards."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.io import table
from corpus.io.buffers import utf8_buffers
from pipelines.engine.shapes import GatherStage
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import NoParameters, Task, Upstream
from pipelines.stages.tokens.encoded import ENCODED_SCHEMA, TokenCounts, read_encoded
from pipelines.stages.tokens.shard_boundaries import ORDERS, BoundaryCounts, shard_folder
from tokenizer.shard_format import ITEM_BYTES
from tokenizer.shard_writer import PROVENANCE_SCHEMA, TokenShardWriter


class TokenShardStage(GatherStage[NoParameters]):
    """tokens/encoded/** -> {tokens,validation}/domain=D/NNNNN.parquet (provenance), .bin, .idx and .blocks beside it"""

    name: ClassVar[str] = "token_shards"
    version: ClassVar[int] = 3
    phase: ClassVar[str] = "tokens"
    reads = ("encoded",)

    def outputs(self, upstream: Upstream) -> Iterator[tuple[str, dict[str, Any]]]:
        """One per shard between the boundaries."""
        for task, counts in zip(upstream["shard_boundaries"], upstream.counts("shard_boundaries"), strict=True):
            where = {name: task.arguments[name] for name in ("split", "domain")}
            bounds = [*cast(BoundaryCounts, counts)["firsts"], ORDERS]
            for number, (first, after) in enumerate(pairwise(bounds)):
                yield f"{shard_folder(**where)}/{number:05d}.parquet", where | {"first": first, "last": after - 1}

    def run(self, task: Task) -> TokenCounts:
        """Gather the shard's documents in order, and write tokens, index and provenance."""
        parts = [ENCODED_SCHEMA.empty_table().append_column("dump", pa.array([], pa.string()))]
        for path in task.inputs:
            rows = read_encoded(self.path(path), **task.arguments)
            dumps = pa.array([ShardRef.of(path).dump] * len(rows), pa.string())
            parts.append(rows.append_column("dump", dumps))
        rows = pa.concat_tables(parts)
        rows = rows.take(pc.sort_indices(rows, [("order", "ascending"), ("id", "ascending")]))
        data, offsets = utf8_buffers(rows["tokens"])
        tokens, starts = data[: offsets[-1]].view("<i4"), offsets // ITEM_BYTES
        lengths = np.diff(starts).astype(np.int32)
        size = int(pc.sum(rows["bytes"]).as_py() or 0)
        folder, name = self.path(task.output).removesuffix(".parquet").rsplit("/", 1)
        with TokenShardWriter(folder, name) as writer:
            writer.write(tokens, lengths, size)
        entry = writer.entry()  # its files are listed, so that they are checked with the footer
        counts: TokenCounts = {"documents": len(rows), "bytes": size, "tokens": len(tokens)}
        with table.ShardWriter(self.path(task.output), PROVENANCE_SCHEMA) as provenance:
            columns = [rows["id"], rows["url"], rows["dump"], starts[:-1], lengths]
            provenance.write(pa.table(columns, PROVENANCE_SCHEMA))
            provenance.metadata = task.stamp(counts) | {"shard": entry, "files": entry["files"]}
        return counts
