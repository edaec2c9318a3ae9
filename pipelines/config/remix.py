"""The parameters of remixing."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.config.base import Name, Section


class DomainRule(Section):
    """Documents that match every glob belong to the domain; `*` matches anything, a missing site too."""

    domain: Name
    source: str = "*"  # the dump, or the name of a plain source
    site: str = "*"  # the registered domain
    language: str = "*"
    topic: str = "*"  # as the classifier under `judges.topics` says; a missing topic matches only `*`


class RemixParameters(Section):
    """Domains and their weights. The first rule that matches a document names its domain; where none does it is
    web-LANGUAGE for a crawl, and the source's name for a plain source."""

    domains: tuple[DomainRule, ...] = ()
    method: Literal["natural", "given", "temperature", "unimax"] = "given"  # corpus/mixture/plan.py says what each does
    weights: dict[Name, float] = {}  # domain: share of the training tokens; the other domains share the rest by size
    temperature: float = Field(default=1.0, gt=0)
    epoch_cap: float = Field(default=4.0, gt=0)  # how often a domain may be seen at most
    # least size of a cluster: how often its document counts; {}: once each. corpus/mixture/plan.py has published ones
    cluster_weights: dict[Annotated[int, Field(ge=1)], Annotated[float, Field(ge=0)]] = {}
    budget: int | None = Field(default=None, ge=1)  # tokens to train on; null: what `train` reads, else one pass
    bytes_per_token: float = Field(default=4.0, gt=0)  # how the budget is met in bytes, until tokens are counted
    validation: float = Field(default=0.01, ge=0, lt=1)  # share of clusters of near-duplicates held out

    @model_validator(mode="after")
    def _weights_are_used(self) -> Self:
        negative = [name for name, weight in self.weights.items() if weight < 0]
        if negative:
            raise ValueError(f"the weight of {negative[0]} is below 0")
        if self.weights and self.method != "given":
            raise ValueError(
                f"weights have no effect with method: {self.method}; write method: given, or leave them out"
            )
        return self
