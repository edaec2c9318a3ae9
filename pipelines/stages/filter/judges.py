"""The learned judges as stages: each reads the text and writes a table of scores beside the documents.

One stage and one table a judge, so that a new model of one recomputes its own scores and nothing else: what enters a
fingerprint is the hash of the model, not where its folder lies. A judge has a model for each language it knows; rows
in other languages have no score. Models are loaded once a worker process and kept.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.semantic import artifact
from pipelines.config.recipe import Recipe
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.filter.annotate import annotate

_models: dict[tuple[str, str, str], Any] = {}  # (stage, folder, fingerprint): the loaded model


class ModelParameters(BaseModel):
    """What decides a score: the fingerprint of the model of each language, and how it is used."""

    model_config = ConfigDict(frozen=True)
    models: dict[str, str]
    options: dict[str, Any] = {}


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
        from pipelines.stages.filter.transformer import TransformerStage

        stages.append(TransformerStage.of(root, judges.transformer))
    return stages


def _fingerprints(folders: Mapping[str, str], kind: str, quality: bool = False) -> ModelParameters:
    marks = {name: artifact.model_fingerprint(path, kind, quality) for name, path in folders.items()}
    return ModelParameters(models=marks)


class ScoreStage(Stage[ModelParameters]):
    """documents/dump=D/N.parquet -> FOLDER/dump=D/N.parquet: id and the columns of one judge"""

    phase: ClassVar[str] = "filter"
    columns: ClassVar[pa.Schema]

    def __init__(self, root: str, folders: Mapping[str, str], parameters: ModelParameters) -> None:
        """`folders` says where the model of each language lies."""
        super().__init__(root, parameters)
        self.folders = dict(folders)

    def model(self, language: str) -> Any:
        """The model of a language, loaded when it is first asked for and kept as long as the process lives."""
        key = (self.name, self.folders[language], self.parameters.models[language])
        if key not in _models:
            _models[key] = self.load(self.folders[language])
        return _models[key]

    @abstractmethod
    def load(self, folder: str) -> Any:
        """The model in a folder."""

    @abstractmethod
    def score(self, model: Any, texts: pa.ChunkedArray) -> Sequence[Iterable[Any]]:
        """The values of `columns` for texts in one language."""

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard of documents."""
        return [
            self.task(task.output.replace("documents/", f"{self.folder}/", 1), [task])
            for tasks in done.values()
            for task in tasks
            if task.output.startswith("documents/")
        ]

    def run(self, task: Task) -> Counts:
        """Score a shard, a row group at a time; `scored` counts the documents in a language with a model."""
        schema = pa.schema([pa.field("id", pa.string()), *self.columns])

        def scored(documents: pa.Table, counts: Counts) -> pa.Table:
            values = [np.full(len(documents), None, object) for _ in self.columns]
            for language in self.folders:
                chosen = pc.fill_null(pc.equal(documents["language"], language), False)
                rows = np.flatnonzero(chosen.to_numpy())
                if len(rows):
                    scores = self.score(self.model(language), documents["text"].filter(chosen))
                    for column, found in zip(values, scores):
                        column[rows] = found
                    counts["scored"] += len(rows)
            arrays = [pa.array(part, field.type, from_pandas=True) for part, field in zip(values, self.columns)]
            return pa.Table.from_arrays([documents["id"], *arrays], schema=schema)

        return annotate(self, task, schema, scored, scored=0)


class ClassifierStage(ScoreStage):
    """-> classifier/: quality_score, the calibrated probability that a text is like the positives"""

    name: ClassVar[str] = "classifier"
    folder: ClassVar[str] = "classifier"
    columns: ClassVar[pa.Schema] = pa.schema([("quality_score", pa.float32())])

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
    columns: ClassVar[pa.Schema] = pa.schema(
        [("perplexity", pa.float32()), ("perplexity_rank", pa.float32()), ("bucket", pa.string())]
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
    columns: ClassVar[pa.Schema] = pa.schema([("topic", pa.string()), ("topic_score", pa.float32())])

    def load(self, folder: str) -> Any:
        """A classifier of any labels."""
        from corpus.semantic.classifier import Classifier

        return Classifier(folder)

    def score(self, model: Any, texts: pa.ChunkedArray) -> Sequence[Iterable[Any]]:
        """Two columns."""
        found: Sequence[Iterable[Any]] = model.topics(texts)
        return found
