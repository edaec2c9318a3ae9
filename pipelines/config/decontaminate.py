"""The parameters of decontamination."""

from pydantic import Field

from pipelines.config.base import Name, Section


class BenchmarkSet(Section):
    """A benchmark: JSON lines or Parquet, one item per row."""

    name: Name
    files: list[str] = Field(min_length=1)  # files, folders or globs
    fields: tuple[str, ...] = ()  # the fields that are the benchmark's own; none: all


class DecontaminateParameters(Section):
    """Which benchmark sets to look for in the documents, and what it takes to hold an item. The verdict is a threshold
    on the signal `benchmark_items`, which is in every table: at most 0."""

    benchmarks: tuple[BenchmarkSet, ...] = ()
    least_share: float = Field(default=0.5, gt=0, le=1)  # of the n-grams of a text of the item
