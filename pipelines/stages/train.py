"""The `train` stage: one task that pretrains a model on the token shards by the mixture's plan.

Its output is train/manifest.json, with the exported model's files and checksums; metrics.jsonl and the
checkpoints beside it are its working state, from which it goes on when it was killed. Settings that have no
effect on the weights (how often to save) are not part of its fingerprint. torch is imported only on the
worker, so planning does without it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from corpus import storage
from corpus.errors import HeadwaterError
from pipelines.engine.outputs import file_entry
from pipelines.engine.stage import Counts, NotPlanned, Stage, Task
from pipelines.sections.train import TrainParameters
from train.settings import OPERATIONAL

PLAN = "mixture/tokens.json"


class TrainStage(Stage[TrainParameters]):
    """Pretraining, resumable, on whatever the worker has."""

    name: ClassVar[str] = "train"
    group: ClassVar[str] = "train"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task, of all that the tokenizer and tokens stages made."""
        inputs = [*done.get("tokenizer", ()), *done.get("tokens", ())]
        if not inputs:
            raise NotPlanned("needs the tasks of the tokens stage")
        fields = type(self.parameters).model_fields
        defaults = {name: fields[name].default for name in OPERATIONAL}
        decisive = type(self)(self.root, self.parameters.model_copy(update=defaults))
        return [decisive.task("train/manifest.json", inputs)]

    def run(self, task: Task) -> Counts:
        """Train, export, and write the manifest."""
        module = require_torch()
        weights = {
            domain["domain"]: float(domain["weight"])
            for domain in storage.read_json(self.path(PLAN))["domains"]
            if domain["weight"] > 0
        }
        held_out = {name: self.path(f"validation/domain={name}") for name in weights}
        data = module.RunData(
            tokens={name: self.path(f"tokens/domain={name}") for name in weights},
            weights=weights,
            validation={n: f for n, f in held_out.items() if storage.exists(storage.join(f, "manifest.json"))},
            tokenizer_folder=self.path("tokenizer"),
        )
        out = self.path("train")
        try:
            summary = module.pretrain(self.parameters, data, out, display())
        except module.OtherRun:  # made by other parameters or inputs: stale, like any other output
            summary = module.pretrain(self.parameters, data, out, display(), restart=True)
        counts: Counts = {"steps": summary["steps"], "tokens": summary["tokens"], "documents": 0, "bytes": 0}
        names = [f"train/export/{name}" for name in summary["export"]]
        files = {name: file_entry(self.path(name)) for name in names}
        storage.write_json(self.path(task.output), task.stamp(counts) | {"files": files, "summary": summary})
        return counts


def require_torch() -> Any:
    """The module `train.pretrain`; raise HeadwaterError with the mend where torch is not installed."""
    try:
        import train.pretrain as module
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("torch", "safetensors"):
            raise
        raise HeadwaterError(
            f"training needs {error.name}, which the core installation leaves out; run: pip install 'headwater[train]'"
        ) from None
    return module


def display() -> Any:
    """Plain lines, which Ray sends on to whoever started the run."""
    from train.progress import PlainDisplay

    return PlainDisplay()
