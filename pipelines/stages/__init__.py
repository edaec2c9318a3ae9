"""The stages, a file each, and the order in which a recipe runs them."""

from corpus.errors import UsageError, nearest
from pipelines.config.recipe import Recipe
from pipelines.engine.stage import Stage

# parts of the phase `filter` that a recipe has sections for, and --until may name
PARTS = {
    "decontaminate": ("benchmarks", "contamination", "contamination_report"),
    "safety": ("personal", "safety", "lists"),
}


def stages_of(recipe: Recipe, until: str | None = None) -> list[Stage]:
    """The stages of a recipe in order, up to and with the one named `until`, or the last of the phase of that name.

    Filters come before deduplication, though the report tells of them after it: both only annotate, and a keeper that
    passes the filters is preferred to one that does not.
    """
    from pipelines.stages.dedup.stages import dedup_stages
    from pipelines.stages.extract import ExtractStage
    from pipelines.stages.filter.stages import filter_stages
    from pipelines.stages.passages.stages import passage_stages
    from pipelines.stages.remix import remix_stages
    from pipelines.stages.sites import site_stages
    from pipelines.stages.tokens.stages import tokenizer_stages, tokens_stages
    from pipelines.stages.train import TrainStage

    stages = [
        ExtractStage(recipe.root, recipe.extract, recipe.inputs),
        *filter_stages(recipe.root, recipe),
        *dedup_stages(recipe.root, recipe.dedup),
        *passage_stages(recipe.root, recipe.passages),
        *site_stages(recipe.root, recipe.sites),
        *remix_stages(recipe.root, recipe),
        *tokenizer_stages(recipe.root, recipe),
        *tokens_stages(recipe.root, recipe),
    ]
    if recipe.train:
        stages.append(TrainStage(recipe.root, recipe.train))
    if until is None:
        return stages
    wanted = (until, *PARTS.get(until, ()))
    last = [index for index, stage in enumerate(stages) if stage.phase == until or stage.name in wanted]
    if not last:
        names = [*(stage.phase for stage in stages), *PARTS, *(stage.name for stage in stages)]
        raise UsageError(f"--until {until}: there is no such stage; {nearest(until, names, 'the stages are:')}")
    return stages[: last[-1] + 1]
