"""The parameters of filtering."""

from typing import Literal, Self

from pydantic import Field, model_validator

from corpus.language import SCORE
from corpus.linguistic.thresholds import TABLES, check_rule
from pipelines.config.base import Section


class SignalBounds(Section):
    """What a signal may be, both ends included."""

    min: float | None = None
    max: float | None = None


class FilterParameters(Section):
    """Measurements and verdicts. A rule is a signal and its bounds; corpus/signals.py has the
    signals, corpus/linguistic/thresholds.py the tables."""

    languages: tuple[str, ...] = ("en", "zh")  # documents in any other are dropped
    language_score: float = Field(default=SCORE, ge=0, le=1)  # the least confidence of the identification
    thresholds: dict[str, dict[str, SignalBounds | Literal[False]]] = {}  # language: signal: bounds; off drops the rule

    @model_validator(mode="after")
    def _signals_exist(self) -> Self:
        for language, rules in self.thresholds.items():
            tables = sorted({*self.languages, *TABLES})
            if language not in tables:
                raise ValueError(f"thresholds for `{language}` would apply to no document; give {', '.join(tables)}")
            for signal, bounds in rules.items():
                check_rule(language, signal, *((bounds.min, bounds.max) if bounds else ()))
        return self
