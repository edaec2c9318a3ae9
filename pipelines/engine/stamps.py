"""Which outputs are there: reading the stamp that each output carries.

A Parquet shard carries its stamp in its footer. A JSON output carries it at its top level, and may name sibling files
with their sizes and checksums. So files that have no room for a stamp (.bin, .idx, tokenizer.json) are covered."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from corpus.io import storage, table
from corpus.io.checksum import file_entry
from pipelines.engine.stage import Counts, Task

M = TypeVar("M", bound=Mapping[str, Any])


def read_stamp(path: str) -> dict[str, Any] | None:
    """The stamp of an output, or None where it is missing or cannot be read."""
    if path.endswith(".parquet"):
        return table.read_metadata(path)
    try:
        value = json.loads(storage.read_bytes(path))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def is_intact(root: str, output: str, stamp: dict[str, Any]) -> bool:
    """Whether every byte of the output, and of the other files it names, is the byte that was written.

    A name without a slash is a sibling of the output; one with a slash is relative to the root.
    """
    path = storage.join(root, output)
    if path.endswith(".parquet") and not table.is_whole(path):
        return False
    folder = path.rsplit("/", 1)[0]
    for name, expected in stamp.get("files", {}).items():
        try:
            if file_entry(storage.join(root if "/" in name else folder, name)) != expected:
                return False
        except OSError:
            return False
    return True


def counts_if_done(root: str, task: Task, verify: bool) -> Counts | None:
    """The counts of a task that is done, or None where it must be run. With `verify`, every byte is checked."""
    path = storage.join(root, task.output)
    stamp = read_stamp(path)
    if stamp is None or stamp.get("fingerprint") != task.fingerprint:
        return None
    if verify and not is_intact(root, task.output, stamp):
        return None
    counts: Counts = stamp["counts"]
    return counts


def add_counts(total: M, counts: Mapping[str, Any]) -> M:
    """Add counts to a total in place, key by key and level by level."""
    into: dict[str, Any] = total  # type: ignore[assignment]
    for key, value in counts.items():
        if isinstance(value, Mapping):
            add_counts(into.setdefault(key, {}), value)
        elif isinstance(value, (int, float)):
            into[key] = into.get(key, 0) + value
    return total
