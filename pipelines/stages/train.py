"""The `train` stage: one task that pretrains a model on the token shards by the mixture's plan.

Its output is train/manifest.json, with the exported model's files and checksums; metrics.jsonl and the
checkpoints beside it are its working state, from which it goes on when it was killed. Settings that have no
effect on the weights (the mesh, how often to save) are not part of its fingerprint. A mesh of several processes is a
gang of actors on Ray, forks of this process without it, or what torchrun started. torch is imported only on the
worker, so planning does without it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from corpus.errors import HeadwaterError
from corpus.io import storage
from pipelines.config.train import TrainParameters
from pipelines.engine.process_group import run_process_group
from pipelines.engine.stage import Counts, NotPlanned, Stage, Task
from pipelines.engine.stamps import file_entry
from train.distributed.launch import launch
from train.distributed.rank_environment import is_launched, wait_asleep
from train.settings import OPERATIONAL

PLAN = "mixture/tokens.json"


class TrainStage(Stage[TrainParameters]):
    """Pretraining, resumable, on whatever the worker has."""

    name: ClassVar[str] = "train"
    phase: ClassVar[str] = "train"

    live: bool = False  # whether a terminal shows nothing but this stage

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task, of all that the tokenizer and tokens stages made."""
        inputs = [*done.get("tokenizer", ()), *done.get("token_mixture", ())]
        if not inputs:
            raise NotPlanned("needs the tasks of the tokens stage")
        fields = type(self.parameters).model_fields
        defaults = {name: fields[name].get_default() for name in OPERATIONAL}
        decisive = type(self)(self.root, self.parameters.model_copy(update=defaults))
        return [decisive.task("train/manifest.json", inputs)]

    @property
    def num_cpus(self) -> float:  # type: ignore[override]
        """None where a gang does the work: the task only watches it."""
        return 0 if self._is_gang else 1

    @property
    def _is_gang(self) -> bool:
        return self.parameters.mesh.world > 1 or self.parameters.device == "cuda"

    def run(self, task: Task) -> Counts:
        """Train, export, and write the manifest; counts are those of rank 0, which writes."""
        require_torch()
        if is_launched() or (self.parameters.mesh.world == 1 and not _on_ray()):
            return self.train(task)
        size, restarts = self.parameters.mesh.world, self.parameters.restarts
        if not _on_ray():
            return launch(self.train, (task,), size, restarts=restarts, note=_say)
        gpus = self._wants_gpus()
        if not (self._is_gang or gpus):
            return self.train(task)
        return run_process_group(self.train, (task,), size, gpus=gpus, restarts=restarts, note=_say)

    def _wants_gpus(self) -> bool:
        import ray

        found = ray.cluster_resources().get("GPU", 0.0) >= 1
        return self.parameters.device == "cuda" or (found and self.parameters.device == "auto")

    def train(self, task: Task) -> Counts:
        """What one process of the run does."""
        from train.progress import shown

        module = require_torch()
        weights = {
            domain["domain"]: float(domain["weight"])
            for domain in storage.read_json(self.path(PLAN))["domains"]
            if domain["weight"] > 0
        }
        domains = {*weights, *(name for change in self.parameters.mixture_changes for name in change.weights)}
        held_out = {name: self.path(f"validation/domain={name}") for name in sorted(domains)}
        data = module.RunData(
            tokens={name: self.path(f"tokens/domain={name}") for name in sorted(domains)},
            weights=weights,
            validation={n: f for n, f in held_out.items() if storage.exists(storage.join(f, "manifest.json"))},
            tokenizer_folder=self.path("tokenizer"),
        )
        with shown(self.live) as display:  # checkpoints of other parameters or inputs are stale, like any other output
            summary = module.pretrain(self.parameters, data, self.path("train"), display, replace=True)
        if not summary:
            return {}
        counts: Counts = {"steps": summary["steps"], "tokens": summary["tokens"], "documents": 0, "bytes": 0}
        names = [f"train/export/{name}" for name in summary["export"]]
        files = {name: file_entry(self.path(name)) for name in names}
        storage.write_json(self.path(task.output), task.stamp(counts) | {"files": files, "summary": summary})
        return counts


def _on_ray() -> bool:
    import ray

    return bool(ray.is_initialized())


def _say(message: str) -> None:
    print(f"train: {message}", flush=True)


def require_torch() -> Any:
    """The module `train.pretrain`; raise HeadwaterError with the mend where torch is not installed."""
    wait_asleep()
    try:
        import train.pretrain as module
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("torch", "safetensors"):
            raise
        raise HeadwaterError(
            f"training needs {error.name}, which the core installation leaves out; run: pip install 'headwater[train]'"
        ) from None
    return module
