"""Token shards as stages. `encoded`, `layouts` and `token_shards` (pipelines.stages.tokens.shards) make the shards; the
three here bind them: `manifests` completes each folder, so that it can be opened; `fertility` reports bytes per token
of the whole corpus by language and domain; `tokens` weighs the mixture anew with real token counts, which is what
training reads.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from corpus.io import storage, table
from pipelines.config.recipe import Recipe
from pipelines.engine.stage import Counts, NoParameters, Stage, Task
from pipelines.engine.stamps import add_counts
from pipelines.stages.remix import TOKEN_PLAN, write_token_plan
from pipelines.stages.tokens.shards import (
    FOLDERS,
    EncodeParameters,
    EncodeStage,
    ShardBoundaryStage,
    ShardParameters,
    ShardStage,
)
from tokenizer.evaluate import fertility
from tokenizer.shard_writer import build_manifest
from tokenizer.shards import MANIFEST
from tokenizer.vocabulary import load_vocabulary

SPLITS = {folder: split for split, folder in FOLDERS.items()}


class BudgetParameters(BaseModel):
    """How many tokens the training is planned for; None: one pass over what there is."""

    model_config = ConfigDict(frozen=True)
    budget: int | None


def tokens_stages(root: str, recipe: Recipe) -> list[Stage]:
    """The stages in order; they take documents, domains, mixture and tokenizer from the stages planned before them."""
    section = recipe.tokens
    return [
        EncodeStage(
            root, EncodeParameters(bos=section.bos, seed=section.seed, replacements=recipe.safety.replacements)
        ),
        ShardBoundaryStage(root, ShardParameters(shard_bytes=section.shard_bytes)),
        ShardStage(root, NoParameters()),
        ManifestStage(root, NoParameters()),
        FertilityStage(root, NoParameters()),
        TokenMixtureStage(root, BudgetParameters(budget=recipe.budget)),
    ]


class ManifestStage(Stage[NoParameters]):
    """{tokens,validation}/domain=D/NNNNN.parquet -> manifest.json beside them"""

    name: ClassVar[str] = "manifests"
    phase: ClassVar[str] = "tokens"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per folder."""
        folders: dict[str, list[Task]] = {}
        for task in done["token_shards"]:
            folders.setdefault(task.output.rsplit("/", 1)[0], []).append(task)
        return [self.task(f"{folder}/{MANIFEST}", [*done["tokenizer"], *tasks]) for folder, tasks in folders.items()]

    def run(self, task: Task) -> Counts:
        """Join what the footers of the shards say."""
        split, domain = task.output.split("/")[0], task.output.split("/")[1].removeprefix("domain=")
        stamps = [table.require_metadata(self.path(path)) for path in task.inputs[1:]]
        vocabulary = load_vocabulary(self.path("tokenizer/tokenizer.json"))
        manifest = build_manifest(vocabulary, [stamp["shard"] for stamp in stamps], domain, SPLITS[split])
        counts: Counts = {name: manifest[name] for name in ("documents", "bytes", "tokens")}
        storage.write_json(self.path(task.output), task.stamp(counts) | manifest)
        return counts


class FertilityStage(Stage[NoParameters]):
    """The counts of tokens/encoded/** -> tokenizer/report.json"""

    name: ClassVar[str] = "fertility"
    phase: ClassVar[str] = "tokens"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task over all shards."""
        return [self.task("tokenizer/report.json", [*done["tokenizer"], *done["encoded"]])]

    def run(self, task: Task) -> Counts:
        """Bytes per token by language and domain, of every kept document."""
        total: Counts = {"documents": 0, "bytes": 0, "tokens": 0, "languages": {}, "domains": {}, "training": {}}
        for path in task.inputs[1:]:
            add_counts(total, table.require_metadata(self.path(path))["counts"])
        manifest = storage.read_json(self.path(task.inputs[0]))
        counts: Counts = {name: total[name] for name in ("documents", "bytes", "tokens")}
        report = {
            "languages": fertility(total["languages"]),
            "domains": fertility(total["domains"]),
            "training": total["training"],  # tokens by domain and language
            "bytes_per_token": total["bytes"] / total["tokens"] if total["tokens"] else 0.0,
            **{name: manifest[name] for name in ("vocab_size", "conventional_tokens", "model_vocab_size", "hash")},
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | report)
        return counts


class TokenMixtureStage(Stage[BudgetParameters]):
    """mixture/plan.json + tokenizer/report.json + all manifests -> mixture/tokens.json"""

    name: ClassVar[str] = "token_mixture"
    version: ClassVar[int] = 3
    phase: ClassVar[str] = "tokens"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task, which stands for all shards."""
        return [self.task(TOKEN_PLAN, [*done["mixture"], *done["fertility"], *done["manifests"]])]

    def run(self, task: Task) -> Counts:
        """Weigh the mixture anew by the training tokens that each domain's shards hold.

        By language they are divided as all that was encoded of the domain is; a shard may have been set aside.
        """
        _, report, *manifests = task.inputs
        encoded = storage.read_json(self.path(report))["training"]
        tokens: dict[str, dict[str, int]] = {}
        counts: Counts = {"documents": 0, "bytes": 0, "tokens": 0}
        for path in manifests:
            if path.startswith(f"{FOLDERS['train']}/"):
                manifest = storage.read_json(self.path(path))
                tokens[manifest["domain"]] = _divided(manifest["tokens"], encoded[manifest["domain"]])
                add_counts(counts, manifest["counts"])
        write_token_plan(self.root, tokens, self.parameters.budget, task.stamp(counts))
        return counts


def _divided(tokens: int, parts: Mapping[str, int]) -> dict[str, int]:
    """The tokens in proportion to the parts, whole numbers that sum to them."""
    everything = sum(parts.values())
    ends = (tokens * end // everything for end in accumulate(parts.values()))
    return {name: end - start for name, (start, end) in zip(parts, pairwise([0, *ends]))}
