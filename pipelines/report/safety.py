"""Safety and decontamination for the report: what was masked, and which benchmark items were found where."""

from typing import Any

from corpus.io import storage, table
from pipelines.engine.stage import Counts
from pipelines.engine.stamps import add_counts
from pipelines.stages.filter.decontaminate import REPORT


def safety(root: str) -> dict[str, Any] | None:
    """Spans of personal data by kind, and benchmarks with their matches; None where neither has run."""
    masked: Counts = {}
    for info in storage.list_files(storage.join(root, "personal"), ".parquet"):
        metadata = table.read_metadata(info.path)
        add_counts(masked, metadata["counts"] if metadata else {})
    path = storage.join(root, REPORT)
    benchmarks = storage.read_json(path)["benchmarks"] if storage.exists(path) else {}
    if not masked and not benchmarks:
        return None
    return {
        "documents": masked.get("documents", 0),
        "masked": masked.get("kinds", {}),
        "benchmarks": [{"benchmark": name, **found} for name, found in benchmarks.items()],
    }
