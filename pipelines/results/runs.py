"""How long the phases and stages of a recipe took, from the records that its runs left."""

from collections.abc import Sequence
from typing import Any

from corpus.io import storage

_SUMMED = ("tasks", "done_before", "seconds", "cpu_seconds")
_KEPT = ("stage", "phase", *_SUMMED, "documents", "bytes", "peak_rss_bytes", "failed")


def runs(root: str) -> dict[str, Any] | None:
    """For each stage the last run in which it did anything, in the order of the stages, and the same by phase.

    A row says what that run did and what it set aside. None before the first run.
    """
    last: dict[str, dict[str, Any]] = {}
    paths = [info.path for info in storage.list_files(storage.join(root, "runs"), ".json")]
    for number, path in enumerate(paths):
        for result in storage.read_json(path):
            worked = result["seconds"] > 0 or result["failed"]
            if "phase" in result and (worked or result["stage"] not in last):  # without: of an earlier Headwater
                last[result["stage"]] = {key: result[key] for key in _KEPT} | {"run": number}
    if not last:
        return None
    by_phase: dict[str, list[dict[str, Any]]] = {}
    for row in last.values():
        by_phase.setdefault(row["phase"], []).append(row)
    phases = [_phase(name, rows) for name, rows in by_phase.items()]
    return {"runs": len(paths), "phases": phases, "stages": list(last.values())}


def _phase(name: str, stages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums over the stages; documents and text are those of the stage that handled the most."""
    most = max(stages, key=lambda row: row["documents"])
    return {key: sum(row[key] for row in stages) for key in _SUMMED} | {
        "phase": name,
        "stages": len(stages),
        "documents": most["documents"],
        "bytes": most["bytes"],
        "peak_rss_bytes": max(row["peak_rss_bytes"] for row in stages),
        "failed": [failure for row in stages for failure in row["failed"]],
    }
