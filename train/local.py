"""Token shards of an object store as memory-mapped local files.

A shard is fetched whole the first time it is opened, checked against the manifest's checksum, and kept under that
checksum, so that the processes of a host and later runs share one copy; it appears whole or not at all. The folder is
$XDG_CACHE_HOME/headwater/tokens (or ~/.cache/headwater/tokens) and may be deleted at any time between runs.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from corpus import storage
from corpus.errors import CorruptShard
from tokenizer.shards import TokenShards

_READ = 1 << 22


def cache_folder() -> Path:
    """Where fetched shards are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headwater" / "tokens"


def local_tokens(shards: TokenShards, index: int) -> npt.NDArray[np.int32]:
    """The tokens of a shard, int32 and memory-mapped, wherever it lies; raise CorruptShard for altered bytes."""
    shard = shards.shards[index]
    if storage.scheme(shard.path) == "file":
        return shards.tokens(index)
    if not shard.num_tokens:
        return np.zeros(0, np.int32)
    expected = shards.manifest["files"][shard.path.rsplit("/", 1)[1]]
    kept = cache_folder() / f"{expected['xxh3']}.bin"
    if not kept.exists():
        _fetch(shard.path, kept, expected["xxh3"])
    return np.memmap(kept, "<i4", "r", shape=(shard.num_tokens,))


def _fetch(path: str, kept: Path, checksum: str) -> None:
    with storage.atomic_output(str(kept)) as target, storage.open_input(path) as source:
        shutil.copyfileobj(source, target, _READ)
        target.flush()
        digest = xxhash.xxh3_128()
        with open(target.name, "rb") as copy:
            while block := copy.read(_READ):
                digest.update(block)
        if digest.hexdigest() != checksum:
            raise CorruptShard(path, "its checksum is not the manifest's")
