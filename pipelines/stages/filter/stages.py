"""The stages of the phase `filter`: some read the text and write tables of signals, `verdicts` reads these and judges.

A stage that measures something new is added to the list here; its signals are registered in `corpus.signals`.
"""

from pipelines.config.recipe import Recipe
from pipelines.engine.stage import NoParameters, Stage
from pipelines.stages.filter.decontaminate import decontaminate_stages
from pipelines.stages.filter.judges import score_stages
from pipelines.stages.filter.quality import QualityStage
from pipelines.stages.filter.safety import safety_stages
from pipelines.stages.filter.verdicts import VerdictStage, rules_of_inputs, verdict_parameters


def filter_stages(root: str, recipe: Recipe) -> list[Stage]:
    """The stages of a recipe; raises UsageError where it bounds a signal that none of them measures."""
    measuring: list[Stage] = [
        QualityStage(root, NoParameters()),
        *score_stages(root, recipe),
        *decontaminate_stages(root, recipe.decontaminate),
        *safety_stages(root, recipe.safety),
    ]
    parameters = verdict_parameters(recipe.filter, {stage.name for stage in measuring})
    return [*measuring, VerdictStage(root, parameters, rules_of_inputs(recipe))]
