"""The `train` stage: one task that pretrains a model on the token shards by the mixture.

Its output is train/manifest.json, which lists the exported model's files. metrics.jsonl and the checkpoints beside it
are its working state: a run that was killed goes on from them. Settings that have no effect on the weights (the mesh,
how often to save) are not part of its fingerprint. A mesh of several processes is a process group of actors on Ray,
forks of this process without Ray, or what torchrun started. torch is imported only on the worker, so planning does
without it.
"""

from typing import Any, ClassVar

from corpus.errors import HeadwaterError
from corpus.io import storage
from corpus.io.checksum import file_entry
from pipelines.config.train import TrainParameters
from pipelines.engine.process_group import run_process_group
from pipelines.engine.shapes import SingleStage
from pipelines.engine.stage import Task, Upstream
from pipelines.stages.tokens.encoded import TokenCounts
from pipelines.stages.tokens.shard_boundaries import shard_folder
from pipelines.stages.tokens.tokenizer import FOLDER
from tokenizer.shards import MANIFEST
from train.distributed.launch import launch
from train.distributed.rank_environment import is_launched, wait_asleep
from train.settings import OPERATIONAL


class TrainCounts(TokenCounts, total=False):
    """How far a run came."""

    steps: int


class TrainStage(SingleStage[TrainParameters]):
    """Pretraining, resumable, on the devices that the worker has."""

    name: ClassVar[str] = "train"
    phase: ClassVar[str] = "train"
    reads = ("tokenizer", "token_mixture")
    output = "train/manifest.json"

    live: bool = False  # whether a terminal shows nothing but this stage

    def plan(self, upstream: Upstream) -> list[Task]:
        """One task, whose fingerprint covers what decides the weights."""
        fields = type(self.parameters).model_fields
        defaults = {name: fields[name].get_default() for name in OPERATIONAL}
        decisive = type(self)(self.root, self.parameters.model_copy(update=defaults))
        return super(TrainStage, decisive).plan(upstream)

    @property
    def num_cpus(self) -> float:  # type: ignore[override]
        """None where a process group does the work: the task only watches it."""
        return 0 if self._is_distributed else 1

    @property
    def _is_distributed(self) -> bool:
        return self.parameters.mesh.world > 1 or self.parameters.device == "cuda"

    def run(self, task: Task) -> TrainCounts:
        """Train, export, and write the manifest; counts are those of rank 0, which writes."""
        require_torch()
        if is_launched() or (self.parameters.mesh.world == 1 and not _on_ray()):
            return self.train(task)
        size, restarts = self.parameters.mesh.world, self.parameters.restarts
        if not _on_ray():
            return launch(self.train, (task,), size, restarts=restarts, note=_say)
        gpus = self._wants_gpus()
        if not (self._is_distributed or gpus):
            return self.train(task)
        return run_process_group(self.train, (task,), size, gpus=gpus, restarts=restarts, note=_say)

    def _wants_gpus(self) -> bool:
        import ray

        found = ray.cluster_resources().get("GPU", 0.0) >= 1
        return self.parameters.device == "cuda" or (found and self.parameters.device == "auto")

    def train(self, task: Task) -> TrainCounts:
        """What one process of the run does."""
        from train.progress import shown

        module = require_torch()
        plan = storage.read_json(self.path(task.one("token_mixture")))
        weights = {row["domain"]: float(row["weight"]) for row in plan["domains"] if row["weight"] > 0}
        domains = sorted({*weights, *(name for change in self.parameters.mixture_changes for name in change.weights)})
        held_out = {name: self.path(shard_folder("validation", name)) for name in domains}
        data = module.RunData(
            tokens={name: self.path(shard_folder("train", name)) for name in domains},
            weights=weights,
            validation={name: path for name, path in held_out.items() if storage.exists(storage.join(path, MANIFEST))},
            tokenizer_folder=self.path(FOLDER),
        )
        with shown(self.live) as display:  # checkpoints of other parameters or inputs are stale, like any other output
            summary = module.pretrain(self.parameters, data, self.path("train"), display, replace=True)
        if not summary:
            return {}
        counts: TrainCounts = {"steps": summary["steps"], "tokens": summary["tokens"], "documents": 0, "bytes": 0}
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
