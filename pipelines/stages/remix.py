"""The phase `remix`: `domains` says of every document where it belongs, `mixture` weighs the domains.

`mixture` is one task over the counts of all shards. It writes mixture/plan.json, the contract with tokenization and
training.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from corpus.errors import UsageError, nearest
from corpus.io import storage, table
from corpus.mixture.plan import Method, make_plan, resolve, with_languages
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe
from pipelines.config.remix import RemixParameters
from pipelines.engine.shapes import SingleStage
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.engine.stamps import add_counts
from pipelines.stages.domains import DomainCounts, DomainParameters, DomainSplits, DomainStage, nothing

PLAN = "mixture/plan.json"
TOKEN_PLAN = "mixture/tokens.json"


class MixtureParameters(BaseModel):
    """What decides the weights."""

    model_config = ConfigDict(frozen=True)
    method: Method
    weights: dict[str, float]
    temperature: float
    epoch_cap: float
    budget: int | None
    bytes_per_token: float
    cluster_weights: dict[int, float]


def remix_stages(root: str, recipe: Recipe) -> list[Stage]:
    """Both stages of a recipe; they take documents, duplicates and verdicts from the stages planned before them."""
    if any(rule.topic != "*" for rule in recipe.remix.domains) and not recipe.judges.topics:
        raise UsageError("remix.domains: a rule names a topic, and nothing says topics; name a model in judges.topics")
    plain = [item.name for item in recipe.inputs if not isinstance(item, CrawlInput)]
    possible = [*(rule.domain for rule in recipe.remix.domains), *plain]
    possible += [f"web-{language}" for language in recipe.filter.languages]
    any_language = any(item.rules != "auto" for item in recipe.inputs)
    for name in recipe.remix.weights:
        if name not in possible and not (any_language and name.startswith("web-")):
            raise UsageError(
                f"remix.weights.{name}: no document has this domain; {nearest(name, possible, 'there are')}"
            )
    section = recipe.remix.model_dump()
    of_domains = DomainParameters.model_validate({key: section[key] for key in DomainParameters.model_fields})
    return [
        DomainStage(root, of_domains, plain, passages=recipe.passages is not None),
        MixtureStage(root, mixture_parameters(recipe.remix)),
    ]


def mixture_parameters(section: RemixParameters) -> MixtureParameters:
    """The part of the section that decides the weights."""
    values = section.model_dump()
    return MixtureParameters.model_validate({key: values[key] for key in MixtureParameters.model_fields})


class MixtureStage(SingleStage[MixtureParameters]):
    """The counts of domains/** -> mixture/plan.json"""

    name: ClassVar[str] = "mixture"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "remix"
    reads = ("domains",)
    output: ClassVar[str] = PLAN

    def run(self, task: Task) -> Counts:
        """Weigh the training split of each domain by its bytes."""
        plan = plan_mixture(counted_domains([self.path(path) for path in task.inputs]), self.parameters)
        counts: Counts = {
            "documents": sum(domain["documents"] for domain in plan["domains"]),
            "bytes": sum(domain["bytes"] for domain in plan["domains"]),
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | plan)
        return counts


def counted_domains(shards: Sequence[str]) -> DomainSplits:
    """What the shards of domains/ counted: by domain and split, the documents and bytes that are kept."""
    total: DomainCounts = {"domains": {}}
    for path in shards:
        add_counts(total, table.require_metadata(path)["counts"])
    return total["domains"]


def plan_mixture(domains: DomainSplits, options: MixtureParameters) -> dict[str, Any]:
    """The mixture in bytes of the counted domains, with what is held out of each."""
    plan = make_plan(
        {name: part["train"]["bytes"] for name, part in domains.items()},
        {name: part["train"]["documents"] for name, part in domains.items()},
        unit="bytes",
        method=options.method,
        weights=options.weights,
        temperature=options.temperature,
        epoch_cap=options.epoch_cap,
        budget=None if options.budget is None else round(options.budget * options.bytes_per_token),
        cluster_weights=options.cluster_weights,
    )
    for domain in plan["domains"]:
        domain["validation"] = domains[domain["domain"]]["validation"] if domain["domain"] in domains else nothing()
    return with_languages(plan, {name: part["train"]["languages"] for name, part in domains.items()})


def write_token_plan(
    root: str, tokens: Mapping[str, Mapping[str, int]], budget: int | None, stamp: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Resolve the plan with the tokens there are of each domain, by language, and write mixture/tokens.json; return it.

    `stamp` (a task's `stamp(counts)`) goes to the top level, where the file is a task's output.
    """
    sizes = {domain: sum(languages.values()) for domain, languages in tokens.items()}
    plan = with_languages(resolve(storage.read_json(storage.join(root, PLAN)), sizes, budget), tokens)
    storage.write_json(storage.join(root, TOKEN_PLAN), dict(stamp or {}) | plan)
    return plan
