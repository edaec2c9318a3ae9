"""`token_mixture`: the mixture weighed anew with real token counts, which is what training reads."""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from corpus.io import storage
from pipelines.engine.shapes import SingleStage
from pipelines.engine.stage import Task
from pipelines.engine.stamps import add_counts
from pipelines.stages.remix import TOKEN_PLAN, write_token_plan
from pipelines.stages.tokens.encoded import TokenCounts


class BudgetParameters(BaseModel):
    """How many tokens the training is planned for; None: one pass over what there is."""

    model_config = ConfigDict(frozen=True)
    budget: int | None


class TokenMixtureStage(SingleStage[BudgetParameters]):
    """mixture/plan.json + tokenizer/report.json + all manifests -> mixture/tokens.json"""

    name: ClassVar[str] = "token_mixture"
    version: ClassVar[int] = 3
    phase: ClassVar[str] = "tokens"
    reads = ("mixture", "fertility", "manifests")
    output = TOKEN_PLAN

    def run(self, task: Task) -> TokenCounts:
        """Weigh the mixture anew by the training tokens that each domain's shards hold.

        They are divided among languages as all that was encoded of the domain is; a shard may have been set aside.
        """
        encoded = storage.read_json(self.path(task.one("fertility")))["training"]
        tokens: dict[str, dict[str, int]] = {}
        counts: TokenCounts = {"documents": 0, "bytes": 0, "tokens": 0}
        for path in task.of("manifests"):
            manifest = storage.read_json(self.path(path))
            if manifest["split"] == "train":
                tokens[manifest["domain"]] = _divided(manifest["tokens"], encoded[manifest["domain"]])
                add_counts(counts, manifest["counts"])
        write_token_plan(self.root, tokens, self.parameters.budget, task.stamp(counts))
        return counts


def _divided(tokens: int, parts: Mapping[str, int]) -> dict[str, int]:
    """The tokens in proportion to the parts: whole numbers whose sum is `tokens`."""
    everything = sum(parts.values())
    ends = (tokens * end // everything for end in accumulate(parts.values()))
    return {name: end - start for name, (start, end) in zip(parts, pairwise([0, *ends]))}
