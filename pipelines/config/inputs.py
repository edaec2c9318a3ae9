"""Where a run reads: dumps in Common Crawl's layout and plain files."""

from typing import Literal

from pydantic import Field

from pipelines.config.base import Name, Section


class CrawlInput(Section):
    """Dumps in Common Crawl's layout."""

    crawl: str  # the root above crawl-data/: a folder, s3://commoncrawl, https://data.commoncrawl.org
    dumps: list[Name] = []  # in the order in which deduplication counts them
    format: Literal["warc", "wet"] = "warc"
    files: int | None = Field(None, ge=1)  # at most this many files of each dump, the first of its list
    expected_files: int | None = Field(None, ge=1)  # what `plan` counts for a dump whose list is out of reach
    files_per_shard: int = Field(default=1, ge=1)  # files that become one shard, so that whole dumps are not millions
    rules: Literal["auto", "en", "zh", "none"] = "auto"  # which table of filter thresholds applies; auto: by language


class FilesInput(Section):
    """A plain source: books, code, papers as JSONL, Parquet or text files."""

    files: list[str] = Field(min_length=1)  # files, folders or globs; one shard each
    name: Name  # its name as a partition, in rules of domains and in reports
    columns: dict[Literal["text", "id", "url", "date", "language"], str] = {"text": "text"}  # ours: theirs
    language: str | None = None  # the language of every document, instead of identifying it
    rules: Literal["auto", "en", "zh", "none"] = "auto"
