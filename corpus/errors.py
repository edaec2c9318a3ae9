"""Errors that a person reads. Each message names the thing, the place and the mend."""

import difflib
from collections.abc import Iterable


class HeadwaterError(Exception):
    """Base of every error that is shown to a person as a message, never as a traceback."""


class UsageError(HeadwaterError):
    """The command, recipe or argument is wrong; the program exits with status 2."""


class CorruptShard(HeadwaterError):
    """A shard that Headwater wrote cannot be read back: it is truncated, altered, or not what it claims to be."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"{path} is corrupt ({why}); delete it and run again, or run with --verify to find and redo such shards"
        )
        self.path = path
        self.why = why

    def __reduce__(self) -> tuple[type["CorruptShard"], tuple[str, str]]:
        return (CorruptShard, (self.path, self.why))


def nearest(name: str, names: Iterable[str], what: str) -> str:
    """The mend of a name that does not exist: "did you mean `x`?", or, where none is near, `what` and all of them."""
    known = list(dict.fromkeys(names))
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean `{found[0]}`?" if found else f"{what} {', '.join(known)}"
