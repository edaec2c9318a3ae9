"""Deduplication inside documents as stages: what repeats in kept documents becomes spans, which tokens leave out.

    minimizers           hashes of some runs of words, a file per group of shards
    repeated_minimizers  those that occur more than once
    ngram_keys           n-grams that have such a minimizer, a file per group of shards
    repeated_ngrams      where an n-gram occurred before
    site_lines           lines of the documents that have a site, a file per group of shards
    boilerplate          where a line is that many documents of its site have
    repeat_positions     the repeated n-grams and the boilerplate, by group of shards
    passages             the spans of each document

`minimizers`, `ngram_keys`, `site_lines` and `passages` read texts. A new dump adds its own minimizers and lines; the
other stages depend on every dump, and are done again.
"""

from typing import TypeVar

from pydantic import BaseModel

from pipelines.config.passages import PassageParameters
from pipelines.engine.stage import Stage
from pipelines.stages.dedup.stages import PROCESS_BYTES
from pipelines.stages.passages.exchange import ExchangeParameters
from pipelines.stages.passages.ngrams import (
    MinimizerStage,
    NgramKeyStage,
    NgramParameters,
    RepeatedMinimizerStage,
    RepeatedNgramStage,
)
from pipelines.stages.passages.passages import CutParameters, PassageStage
from pipelines.stages.passages.repeat_positions import RepeatPositionStage
from pipelines.stages.passages.site_lines import BoilerplateParameters, BoilerplateStage, SiteLineStage

M = TypeVar("M", bound=BaseModel)


def passage_stages(root: str, section: PassageParameters | None) -> list[Stage]:
    """The stages in order, none without a section; they take documents, duplicates and verdicts from those before."""
    if section is None:
        return []
    chosen = section.model_dump() | {"budget": section.memory_bytes - PROCESS_BYTES}

    def having(model: type[M]) -> M:
        return model(**{name: chosen[name] for name in model.model_fields})

    return [
        MinimizerStage(root, having(NgramParameters)),
        RepeatedMinimizerStage(root, having(NgramParameters)),
        NgramKeyStage(root, having(NgramParameters)),
        RepeatedNgramStage(root, having(NgramParameters)),
        SiteLineStage(root, having(ExchangeParameters)),
        BoilerplateStage(root, having(BoilerplateParameters)),
        RepeatPositionStage(root, having(ExchangeParameters)),
        PassageStage(root, having(CutParameters)),
    ]
