"""The learned judges as stages: each reads the text and writes a table of scores beside the documents.

There is one stage and one table per judge, so that a new model of one recomputes its own scores and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from corpus.semantic import artifact
from pipelines.config.recipe import Recipe
from pipelines.engine.stage import Stage
from pipelines.stages.filter.scores import ModelParameters, ScoreStage
from pipelines.stages.filter.transformer import TransformerStage


def score_stages(root: str, recipe: Recipe) -> list[Stage]:
    """A stage for each judge that the recipe names a model for; raises UsageError where a model is missing."""
    judges = recipe.judges
    stages: list[Stage] = []
    if judges.classifier:
        stages.append(ClassifierStage(root, judges.classifier, _fingerprints(judges.classifier, "classifier", True)))
    if judges.perplexity:
        stages.append(PerplexityStage(root, judges.perplexity, _fingerprints(judges.perplexity, "perplexity")))
    if judges.topics:
        stages.append(TopicsStage(root, judges.topics, _fingerprints(judges.topics, "classifier")))
    if judges.transformer:
        stages.append(TransformerStage.of(root, judges.transformer))
    return stages


def _fingerprints(folders: Mapping[str, str], kind: str, quality: bool = False) -> ModelParameters:
    models = {name: artifact.model_fingerprint(path, kind, quality) for name, path in folders.items()}
    return ModelParameters(models=models)


class ClassifierStage(ScoreStage):
    """-> classifier/: quality_score, the calibrated probability that a text is like the positives"""

    name: ClassVar[str] = "classifier"
    folder: ClassVar[str] = "classifier"
    schema: ClassVar[pa.Schema] = pa.schema([("id", pa.string()), ("quality_score", pa.float32())])

    def load(self, folder: str) -> Any:
        """A quality classifier."""
        from corpus.semantic.classifier import Classifier

        return Classifier(folder, quality=True)

    def score(self, model: Any, texts: pa.ChunkedArray) -> Sequence[Iterable[Any]]:
        """One column."""
        return [model.probabilities(texts)]


class PerplexityStage(ScoreStage):
    """-> perplexity/: perplexity, perplexity_rank among the reference documents, and CCNet's bucket"""

    name: ClassVar[str] = "perplexity"
    folder: ClassVar[str] = "perplexity"
    schema: ClassVar[pa.Schema] = pa.schema(
        [("id", pa.string()), ("perplexity", pa.float32()), ("perplexity_rank", pa.float32()), ("bucket", pa.string())]
    )

    def load(self, folder: str) -> Any:
        """An n-gram model."""
        from corpus.semantic.perplexity import PerplexityModel

        return PerplexityModel(folder)

    def score(self, model: Any, texts: pa.ChunkedArray) -> Sequence[Iterable[Any]]:
        """Three columns; none has a value where a text has no word."""
        from corpus.semantic.perplexity import bucket

        perplexity = model.perplexity(texts)
        ranks = model.rank(perplexity)
        return [perplexity, ranks, [None if np.isnan(rank) else bucket(rank) for rank in ranks]]


class TopicsStage(ScoreStage):
    """-> topics/: topic and topic_score, the most probable label of a text and its probability"""

    name: ClassVar[str] = "topics"
    folder: ClassVar[str] = "topics"
    schema: ClassVar[pa.Schema] = pa.schema(
        [("id", pa.string()), ("topic", pa.string()), ("topic_score", pa.float32())]
    )

    def load(self, folder: str) -> Any:
        """A classifier of any labels."""
        from corpus.semantic.classifier import Classifier

        return Classifier(folder)

    def score(self, model: Any, texts: pa.ChunkedArray) -> Sequence[Iterable[Any]]:
        """Two columns."""
        found: Sequence[Iterable[Any]] = model.topics(texts)
        return found
