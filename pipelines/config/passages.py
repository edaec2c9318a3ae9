"""The parameters of deduplication at string level. docs/decisions/passages.md says why they are these."""

from pydantic import Field

from pipelines.config.base import Name, Section


class PassageParameters(Section):
    """Repeated passages, and lines that many documents of a site have: cut from kept documents when tokens are made."""

    words: int = Field(default=50, ge=8, le=10_000)  # that a repeated passage has at least; a CJK character is a word
    line_documents: int = Field(default=10, ge=2)  # of a site, that have a line, at least, if it is to be boilerplate
    line_share: float = Field(default=0.1, ge=0, le=1)  # of the site's documents that have it, at least
    line_bytes: int = Field(default=32, ge=1)  # of the words of neighbouring boilerplate lines, if they are to be cut
    least: int = Field(default=20, ge=0)  # words that stay of a document; one that keeps fewer is cut whole
    exclude: tuple[Name, ...] = ()  # dumps and plain sources that are left as they are, and that nothing repeats
    shards_per_group: int = Field(default=64, ge=1)  # neighbouring shards that share a file of keys
    memory_bytes: int = Field(default=2 << 30, ge=1 << 30)  # of a task
    partitions: int = Field(default=1, ge=1)  # of keys: tasks that count them side by side
