"""`shard_boundaries`: where the documents of a domain are cut into shards, as large as they may be and no larger.

It looks at the order and length of every document, so it is a stage. Its counts hold the boundaries, which is what the
plan of `token_shards` reads.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import BaseModel, ConfigDict

from corpus.io import storage
from pipelines.engine.shapes import GatherStage
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.engine.stamps import add_counts
from pipelines.stages.tokens.encoded import EncodedCounts, read_encoded
from tokenizer.shard_format import ITEM_BYTES
from tokenizer.shard_writer import cut_shards

ORDERS = 1 << 64  # how many values an order may have
SPLIT_FOLDERS = {"train": "tokens", "validation": "validation"}
_DOCUMENTS_AT_ONCE = 1 << 23  # whose orders are sorted in memory, about: half a gigabyte


class BoundaryCounts(Counts, total=False):
    """The shards of a domain in a split."""

    firsts: list[int]  # the order with which each shard begins, ascending


class ShardParameters(BaseModel):
    """How large shards are."""

    model_config = ConfigDict(frozen=True)
    shard_bytes: int


def shard_folder(split: str, domain: str) -> str:
    """Where the token shards of a domain in a split are, relative to the root."""
    return f"{SPLIT_FOLDERS[split]}/domain={domain}"


class ShardBoundaryStage(GatherStage[ShardParameters]):
    """tokens/encoded/** -> {tokens,validation}/domain=D/shard_boundaries.json"""

    name: ClassVar[str] = "shard_boundaries"
    phase: ClassVar[str] = "tokens"
    reads = ("encoded",)

    def outputs(self, upstream: Upstream) -> Iterator[tuple[str, dict[str, Any]]]:
        """One per split and domain that has documents."""
        splits: dict[str, dict[str, int]] = {}
        for counts in upstream.counts("encoded"):
            add_counts(splits, cast(EncodedCounts, counts)["splits"])
        for split, domains in sorted(splits.items()):
            for domain, documents in sorted(domains.items()):
                output = f"{shard_folder(split, domain)}/shard_boundaries.json"
                yield output, {"split": split, "domain": domain, "documents": documents}

    def run(self, task: Task) -> BoundaryCounts:
        """Cut where a shard is full; documents of the same order, which have the same id, stay together."""
        split, domain = task.arguments["split"], task.arguments["domain"]
        firsts: list[int] = []
        filled, documents = self.parameters.shard_bytes, 0  # nothing is open yet, so the first document opens a shard
        parts = -(-task.arguments["documents"] // _DOCUMENTS_AT_ONCE)
        for part in range(parts):
            first, last = (ORDERS * number // parts for number in (part, part + 1))
            tables = [
                read_encoded(self.path(path), split, domain, first, last - 1, ["order", "length"])
                for path in task.inputs
            ]
            orders, which = np.unique(
                np.concatenate([rows["order"].to_numpy() for rows in tables]), return_inverse=True
            )
            lengths = np.concatenate([rows["length"].to_numpy() for rows in tables])
            sizes = np.bincount(which, lengths, len(orders)).astype(np.int64) * ITEM_BYTES
            starts, filled = cut_shards(sizes, self.parameters.shard_bytes, filled)
            firsts += orders[starts].tolist()
            documents += len(lengths)
        counts: BoundaryCounts = {"documents": documents, "bytes": 0, "firsts": firsts}
        storage.write_json(self.path(task.output), task.stamp(counts))
        return counts
