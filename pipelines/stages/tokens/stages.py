"""The stages from kept documents to token shards, in two phases.

Phase `tokenizer`: `pretoken_counts` by shard, `pretokens` added up, `tokenizer` trained from them, and
`tokenizer_evaluation` on held-out text. Phase `tokens`: `encoded` by shard, `shard_boundaries` by split and domain,
`token_shards`, and what binds them: `manifests`, `fertility` and `token_mixture`.
"""

from pipelines.config.recipe import Recipe
from pipelines.engine.stage import NoParameters, Stage
from pipelines.stages.tokens.encoded import EncodeParameters, EncodeStage
from pipelines.stages.tokens.fertility import FertilityStage
from pipelines.stages.tokens.manifests import ManifestStage
from pipelines.stages.tokens.pretoken_counts import PretokenCountStage, SampleParameters
from pipelines.stages.tokens.pretokens import PretokenParameters, PretokenStage
from pipelines.stages.tokens.shard_boundaries import ShardBoundaryStage, ShardParameters
from pipelines.stages.tokens.token_mixture import BudgetParameters, TokenMixtureStage
from pipelines.stages.tokens.token_shards import TokenShardStage
from pipelines.stages.tokens.tokenizer import TokenizerStage, TrainingParameters
from pipelines.stages.tokens.tokenizer_evaluation import (
    EvaluationParameters,
    EvaluationShardStage,
    TokenizerEvaluationStage,
)


def tokenizer_stages(root: str, recipe: Recipe) -> list[Stage]:
    """The stages of the tokenizer in order; they take documents, domains and the mixture from those before them."""
    section = recipe.tokenizer.model_dump() | {"replacements": recipe.safety.replacements}
    return [
        PretokenCountStage(root, SampleParameters.model_validate(section)),
        PretokenStage(root, PretokenParameters.model_validate(section)),
        TokenizerStage(root, TrainingParameters.model_validate(section)),
        EvaluationShardStage(root, EvaluationParameters.model_validate(section)),
        TokenizerEvaluationStage(root, NoParameters()),
    ]


def tokens_stages(root: str, recipe: Recipe) -> list[Stage]:
    """The stages of the token shards in order; they take the tokenizer, too, from those before them."""
    section = recipe.tokens.model_dump() | {"replacements": recipe.safety.replacements}
    return [
        EncodeStage(root, EncodeParameters.model_validate(section)),
        ShardBoundaryStage(root, ShardParameters.model_validate(section)),
        TokenShardStage(root, NoParameters()),
        ManifestStage(root, NoParameters()),
        FertilityStage(root, NoParameters()),
        TokenMixtureStage(root, BudgetParameters(budget=recipe.budget)),
    ]
