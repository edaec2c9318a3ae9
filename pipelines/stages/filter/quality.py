"""`quality`: what is measured of each document's text, a column per signal (`corpus.signals`)."""

from typing import ClassVar

import pyarrow as pa

from corpus.linguistic import measure
from pipelines.engine.stage import Counts, NoParameters, Task
from pipelines.stages.filter.annotate import AnnotateStage


class QualityStage(AnnotateStage[NoParameters]):
    """documents -> quality: id and a column per signal"""

    name: ClassVar[str] = "quality"
    version: ClassVar[int] = 2
    folder: ClassVar[str] = "quality"
    phase: ClassVar[str] = "filter"
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("id", pa.string()), *measure.SCHEMA])

    def annotate(self, documents: pa.Table, task: Task) -> tuple[pa.Table, Counts]:
        """The measurements."""
        columns = [documents["id"], *measure.measure(documents["text"]).columns]
        return pa.Table.from_arrays(columns, schema=self.schema), {}
