"""A shard by name: the dump or source it is of, and its number in it. Every table of a shard has the same name."""

import re
from typing import NamedTuple

from corpus.errors import HeadwaterError

_PATH = re.compile(r"dump=([^/]+)/(\d+)\.parquet$")


class ShardRef(NamedTuple):
    """`dump=D/NNNNN.parquet` below any table's folder."""

    dump: str  # or the name of a plain source
    number: int

    @classmethod
    def of(cls, path: str) -> "ShardRef":
        """The shard that a path ends in; raises HeadwaterError where it names none."""
        found = _PATH.search(path)
        if not found:
            raise HeadwaterError(f"{path}: not the path of a shard, which ends in dump=NAME/NUMBER.parquet")
        return cls(found.group(1), int(found.group(2)))

    def __str__(self) -> str:
        return f"dump={self.dump}/{self.number:05d}.parquet"

    def below(self, folder: str) -> str:
        """The path of this shard of a table, relative to the root."""
        return f"{folder}/{self}"

    def group(self, shards_per_group: int) -> "ShardRef":
        """The group of neighbouring shards of one dump that this shard is in, named like a shard."""
        return ShardRef(self.dump, self.number // shards_per_group)
