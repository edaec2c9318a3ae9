"""The parameters of the verdicts on sites."""

from typing import Self

from pydantic import Field, model_validator

from corpus.errors import nearest
from corpus.site_stats import SIGNALS
from pipelines.config.base import Section

# Ours; docs/decisions/sites.md has the figures. duplicate_share has no bound: sites that are crawled again have much.
MOST: dict[str, float | None] = {
    "failed_share": 0.9,
    "cloned_share": 0.5,
    "templated_share": 0.6,
    "adult_share": 0.01,
    "gambling_share": 0.01,
    "spam_share": 0.02,
}


class SitesParameters(Section):
    """A site with enough documents is judged by all of them together; a site that fails loses every document."""

    judge: bool = True  # false: sites are counted for the report, and none is dropped
    least_documents: int = Field(default=20, ge=1)  # of a site that is judged
    most: dict[str, float | None] = {}  # signal: its bound, beside or in place of the built-in ones; null: no bound
    partitions: int = Field(default=1, ge=1)  # in which sites are added up, each in a task's memory

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that apply."""
        chosen = MOST | self.most if self.judge else {}
        return {signal: most for signal, most in chosen.items() if most is not None}

    @model_validator(mode="after")
    def _signals_exist(self) -> Self:
        for name in self.most:
            if name not in SIGNALS:
                raise ValueError(f"most: there is no signal of sites `{name}`; {nearest(name, SIGNALS, 'they are')}")
        return self
