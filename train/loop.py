"""The training loop: from a stream of samples to trained weights, through any number of interruptions.

A step passes the next global batch of the stream through the model in micro-batches, adds up their gradients, clips
the norm and lets AdamW step. The loss is summed over tokens and divided by the token count of the global batch, so it
does not depend on the micro-batches or the mesh. Every process of a run goes through the same loop. Each reads its
share of the batch, and all see the same loss. Rank 0 prints, writes the metrics and decides by its clock when a
checkpoint is due. The state of a run is the weights, AdamW's moments and the number of steps; the stream's position
follows from the steps, and nothing else is random. A run that is killed and started again, on any mesh, goes on from
its newest intact checkpoint. On the same mesh and device with the same number of threads it ends with the same bytes.
"""

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from corpus.errors import HeadwaterError
from corpus.io import storage
from tokenizer.shards import TokenShards
from train.checkpoint.checkpoints import Checkpoints
from train.data.stream import TokenStream
from train.distributed.parallel_model import ParallelModel
from train.distributed.world import World
from train.metrics import Metrics
from train.model.init import initialise
from train.optimizer import build_optimizer
from train.schedule import SCHEDULES, last_constant_step, phase_ends
from train.settings import TrainSettings
from train.utilisation import peak_flops, utilisation
from train.validate import BitsPerByte, measure

_FLAT = StateDictOptions(flatten_optimizer_state_dict=True)  # keyed by parameter name: any layout can read it
ENDING_SECONDS = 30.0  # how long a run that fails waits for the checkpoint that is being written


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What is shown of a step. `bits_per_byte` by domain, and `all`, when they were just measured."""

    step: int
    steps: int
    tokens: int
    loss: float  # nats per token
    learning_rate: float
    grad_norm: float  # before clipping
    tokens_per_second: float
    seconds_left: float
    bits_per_byte: Mapping[str, float] = field(default_factory=dict)
    checkpoint: int | None = None  # the step of the last checkpoint
    checkpoint_age: float = 0.0  # seconds
    utilisation: float | None = None  # share of the devices' peak FLOP/s; None: the peak is not known


class Display:
    """Where a run reports what it does; this one prints nothing. See `train.progress` for those that do."""

    def step(self, report: StepReport) -> None:
        """Called after each step."""

    def note(self, message: str) -> None:
        """Called for what happens once: resuming, a refused checkpoint."""


class Trainer:
    """A run. `run` brings it to its last step from wherever its checkpoints left it.

    `stage_one` is the hash of what decides the weights while the learning rate is constant: runs of other
    lengths that have the same may go on from each other's checkpoints of that phase.
    """

    def __init__(
        self,
        settings: TrainSettings,
        parallel: ParallelModel,
        stream: TokenStream,
        validation: Mapping[str, TokenShards],
        checkpoints: Checkpoints,
        metrics: Metrics,
        display: Display,
        world: World,
        *,
        stage_one: str,
    ) -> None:
        self.settings = settings
        self.parallel = parallel
        self.stream = stream
        self.validation = validation
        self.checkpoints = checkpoints
        self.metrics = metrics
        self.display = display
        self.world = world
        self.stage_one = stage_one
        self.device = parallel.device
        self.optimizer = build_optimizer(parallel.model, settings.learning_rate, settings.weight_decay)
        self.step = 0
        self.last_loss = float("nan")
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        self._peak = settings.peak_flops or peak_flops(name)
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Resume or initialise, train to the last step, and leave a checkpoint there."""
        self._start()
        try:
            self._train()
        except BaseException:
            with contextlib.suppress(BaseException):
                self.checkpoints.wait(ENDING_SECONDS)
            raise

    def _train(self) -> None:
        began, first = time.monotonic(), self.step
        while self.step < self.settings.steps:
            start = time.monotonic()
            record = self._train_step()
            rate = self.settings.tokens_per_step / (time.monotonic() - start)
            if self.step % self.settings.validate_every == 0 or self.step == self.settings.steps:
                record["bits_per_byte"] = self._quick_validation()
            used = self._utilisation(rate)
            speed = {"tokens_per_second": round(rate, 1)} | ({} if used is None else {"utilisation": round(used, 4)})
            self.metrics.append(record | speed)
            self._save_if_due(time.monotonic() - start)
            now = time.monotonic()
            done = self.step - first
            self.display.step(
                StepReport(
                    **record,
                    steps=self.settings.steps,
                    tokens_per_second=rate,
                    seconds_left=(now - began) / done * (self.settings.steps - self.step),
                    checkpoint=self.checkpoints.newest,
                    checkpoint_age=now - self.checkpoints.newest_at,
                    utilisation=used,
                )
            )

    def validate(self, limit: int | None = None) -> dict[str, BitsPerByte]:
        """Bits per byte by domain, on the first `limit` held-out tokens of each (None: all of them)."""
        return {
            name: measure(
                self.parallel.token_losses,
                shards,
                sequence_length=self.settings.sequence_length,
                batch_size=self.settings.micro_batch * self.settings.mesh.dp,
                limit=limit,
                device=self.device,
            )
            for name, shards in self.validation.items()
            if shards.num_tokens > 1
        }

    def _start(self) -> None:
        initialise(self.parallel.model, self.settings.seed)
        state, lender = self._state(), self.settings.reuse_stage_one
        progress = self.checkpoints.restore(state, self.display.note)
        if borrowed := progress is None and lender is not None:
            steps = last_constant_step(self.settings.steps, self.settings.tokens_per_step)
            others = Checkpoints(storage.join(lender, "checkpoints"), run="", keep=0, world=self.world)
            progress = others.borrow(state, self.stage_one, steps)
        if progress is None:
            self.optimizer.state.clear()  # asking for its state made torch take an empty step
        else:
            set_model_state_dict(self.parallel.model, state["model"])
            set_optimizer_state_dict(self.parallel.model, self.optimizer, state["optimizer"], options=_FLAT)
            self.step, self.last_loss = progress["step"], progress["loss"]
            self.stream.load_state_dict(progress["stream"])
            how = f"goes on from {lender}" if borrowed else "resumed"
            self.display.note(f"{how} at step {self.step:,} of {self.settings.steps:,}")
        self.metrics.start(self.step, storage.join(lender, "metrics.jsonl") if borrowed and lender else None)
        self._saved_at = time.monotonic()

    def _train_step(self) -> dict[str, Any]:
        """One optimizer step; its line of the metrics."""
        settings, step = self.settings, self.step + 1
        tokens = step * settings.tokens_per_step
        rate = settings.learning_rate * SCHEDULES[settings.schedule](
            tokens, settings.steps * settings.tokens_per_step, settings.warmup_steps * settings.tokens_per_step
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        value = float(self._forward_backward())
        norm = self.parallel.clip_gradients(settings.clip_norm)
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise HeadwaterError(
                f"the loss is not a finite number at step {step} (gradient norm {norm:g}); lower learning_rate "
                f"(now {settings.learning_rate:g}) or lengthen warmup_steps, and start the run anew"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.stream.samples += settings.batch_size
        self.step, self.last_loss = step, value
        return {"step": step, "tokens": tokens, "loss": value, "learning_rate": rate, "grad_norm": norm}

    def _forward_backward(self) -> torch.Tensor:
        """The loss of the next global batch, its gradients added to the parameters'; this rank reads its share."""
        settings, parts = self.settings, self.settings.mesh.dp
        share = settings.batch_size // parts
        first = self.stream.samples + self.parallel.dp_rank * share
        samples = torch.from_numpy(self.stream.batch(first, share)).to(self.device, torch.long)
        documents = None
        if settings.document_mask:
            documents = torch.from_numpy(self.stream.documents(first, share)).to(self.device)
        return self.parallel.forward_backward(samples, documents, 1.0 / settings.tokens_per_step)

    def _utilisation(self, tokens_per_second: float) -> float | None:
        if self._peak is None:
            return None
        config, length = self.parallel.model.config, self.settings.sequence_length
        return utilisation(config, length, tokens_per_second, self._peak * self.world.size)

    def _quick_validation(self) -> dict[str, float]:
        found = self.validate(self.settings.validation_tokens)
        figures = {name: value.bits_per_byte for name, value in found.items() if value.bytes}
        if figures:
            figures["all"] = sum(found.values(), start=BitsPerByte(0.0, 0, 0.0)).bits_per_byte
        return figures

    def _save_if_due(self, step_seconds: float) -> None:
        """Save at the end of a phase of the schedule, at the end of the run, and when rank 0's clock says so."""
        self.checkpoints.wait(0)  # raises what went wrong with the last
        steps, batch = self.settings.steps, self.settings.tokens_per_step
        ends = {end // batch for end in phase_ends(steps * batch)}
        interval = self.settings.checkpoint_seconds
        overdue = is_overdue(time.monotonic() - self._saved_at, interval, self.checkpoints.seconds, step_seconds)
        due = self.step == steps or self.step in ends or (overdue and not (interval and self.checkpoints.busy))
        if not self.world.control.agree(due):
            return
        self.metrics.sync()
        progress = {"step": self.step, "loss": self.last_loss, "stream": self.stream.state_dict()}
        if self.step <= last_constant_step(steps, batch):
            progress["stage_one"] = self.stage_one
        self._saved_at = time.monotonic()
        self.checkpoints.save(self.step, self._state(), progress, permanent=self.step in ends)
        if self.step == steps:
            self.checkpoints.wait()

    def _state(self) -> dict[str, Any]:
        return {
            "model": get_model_state_dict(self.parallel.model),
            "optimizer": get_optimizer_state_dict(self.parallel.model, self.optimizer, options=_FLAT),
        }


def is_overdue(waited: float, interval: float, writing: float, step: float) -> bool:
    """Whether a checkpoint must begin now, to be whole `interval` seconds after the last began.

    So that no more than the interval is ever lost: writing takes as long as it did the last time (half of the interval,
    until one has been written), and the clock is read again only after the next step.
    """
    return waited + (writing or interval / 2) + step >= interval
