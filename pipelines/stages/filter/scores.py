"""The base of the learned judges: a stage that has a model for each language it knows, and scores texts with it.

What enters a fingerprint is the hash of each model, not where its folder lies. Rows in other languages have no score.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from pipelines.engine.stage import Counts, Task
from pipelines.stages.filter.annotate import AnnotateStage

_models: dict[tuple[str, str, str], Any] = {}  # (stage, folder, fingerprint): the loaded model


class ScoreCounts(Counts, total=False):
    """`scored` are the documents in a language with a model."""

    scored: int


class ModelParameters(BaseModel):
    """What decides a score: the fingerprint of the model of each language, and how it is used."""

    model_config = ConfigDict(frozen=True)
    models: dict[str, str]
    options: dict[str, Any] = {}


class ScoreStage(AnnotateStage[ModelParameters]):
    """documents -> <folder>: id and the columns of one judge, which are those of `schema` after the id"""

    phase: ClassVar[str] = "filter"

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
        """The values of the judge's columns for texts in one language."""

    def annotate(self, documents: pa.Table, task: Task) -> tuple[pa.Table, ScoreCounts]:
        """The scores of each language's documents by its model."""
        fields = list(self.schema)[1:]
        values = [np.full(len(documents), None, object) for _ in fields]
        scored = 0
        for language in self.folders:
            chosen = pc.fill_null(pc.equal(documents["language"], language), False)
            rows = np.flatnonzero(chosen.to_numpy())
            if len(rows):
                scores = self.score(self.model(language), documents["text"].filter(chosen))
                for column, found in zip(values, scores):
                    column[rows] = found
                scored += len(rows)
        arrays = [pa.array(part, field.type, from_pandas=True) for part, field in zip(values, fields)]
        return pa.Table.from_arrays([documents["id"], *arrays], schema=self.schema), {"scored": scored}
