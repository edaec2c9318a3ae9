"""Safety and decontamination: what was masked, and which benchmark items were found where."""

from typing import Any

from corpus.io import storage, table
from pipelines.engine.stamps import add_counts
from pipelines.results.outcome import read_if_there
from pipelines.stages.filter.decontaminate import REPORT
from pipelines.stages.filter.safety import PersonalCounts


def safety(root: str) -> dict[str, Any] | None:
    """Spans of personal data by kind, and benchmarks with their matches; None where no such stage has run."""
    masked: PersonalCounts = {}
    for info in storage.list_files(storage.join(root, "personal"), ".parquet"):
        metadata = table.read_metadata(info.path)
        add_counts(masked, metadata["counts"] if metadata else {})
    benchmarks = (read_if_there(root, REPORT) or {"benchmarks": {}})["benchmarks"]
    if not masked and not benchmarks:
        return None
    return {
        "documents": masked.get("documents", 0),
        "masked": masked.get("kinds", {}),
        "benchmarks": [{"benchmark": name, **found} for name, found in benchmarks.items()],
    }
