"""What a run says of a task that failed is printed as it was written."""

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console

from corpus.errors import HeadwaterError
from pipelines.engine import pipeline
from pipelines.engine.stage import Counts, Source, Stage, Task

MESSAGE = "it needs torch; run: pip install 'headwater[train]'"


class Nothing(BaseModel):
    """No parameters."""


class Failing(Stage[Nothing]):
    """One task, which cannot be done."""

    name = "failing"
    phase = "failing"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        return [self.task("failing/0.parquet", [Source("raw", "1")])]

    def run(self, task: Task) -> Counts:
        raise HeadwaterError(MESSAGE)


def test_brackets_are_kept(tmp_path: Path) -> None:
    said = StringIO()
    pipeline.run([Failing(str(tmp_path), Nothing())], Console(file=said, soft_wrap=True), verify=True, on_ray=False)
    assert f"set aside failing/0.parquet: {MESSAGE}\n" in said.getvalue()
