"""The 1F1B pipeline (Narayanan et al. 2021): each stage alternates one forward and one backward pass.

So a stage holds the activations of as many micro-batches as there are stages from it to the end, and not of all of
them. torch's schedule reduces gradients over the data-parallel ranks after the last backward pass has ended. With
`OverlappedStage` that pass itself starts the reduction of each FSDP unit as soon as its gradients are there. So
communication overlaps with the rest of the pass, as in the paper's section 2.4.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.pipelining import PipelineStage, Schedule1F1B
from torch.distributed.pipelining._backward import stage_backward

from train.model.llama import Transformer

Loss = Callable[[Tensor, Tensor, float], Tensor]  # of logits, targets and scale


def reduce_in_next_backward(model: FSDPModule, last: bool) -> None:
    """Say whether the next backward pass is a step's last: then it reduces gradients and frees the weights."""
    model.set_requires_gradient_sync(last)
    model.set_reshard_after_backward(last)
    model.set_is_last_backward(last)


class OverlappedStage(PipelineStage):
    """A stage whose last backward pass reduces gradients while it goes on."""

    def backward_maybe_with_nosync(
        self, backward_type: str, bwd_kwargs: dict[str, Any], last_backward: bool = False
    ) -> Any:
        """One backward pass. 1F1B has only whole ones (`backward_type` is "full")."""
        reduce_in_next_backward(self.submod, last_backward)
        return stage_backward(**bwd_kwargs), None


class Pipeline:
    """A process's stage, and how it exchanges hidden states with the others."""

    def __init__(self, model: Transformer, group: dist.ProcessGroup, loss: Loss, dtype: torch.dtype, tp: int) -> None:
        """Hidden states travel between stages as `dtype`; each of `tp` tensor-parallel ranks sends its part of T."""
        self.model = model
        self.group = group
        self.stage, self.stages = dist.get_rank(group), dist.get_world_size(group)
        self._loss = loss
        self._dtype = dtype
        self._tp = tp
        self._shape: tuple[int, int, int] | None = None
        self._schedule: Schedule1F1B

    def step(
        self, inputs: Tensor, targets: Tensor, documents: Tensor | None, scale: float, micro_batches: int
    ) -> Tensor:
        """Forward and backward passes of a rank's share [S, T]; the summed losses, zero on all but the last stage."""
        shape = (micro_batches, len(inputs) // micro_batches, inputs.shape[1])
        if shape != self._shape:
            ends = self._ends(*shape[1:])
            stage = OverlappedStage(self.model, self.stage, self.stages, inputs.device, *ends, group=self.group)
            self._shape, self._schedule = shape, Schedule1F1B(stage, micro_batches, self._loss, scale_grads=False)
        losses: list[Tensor] = []
        self._schedule.step(
            *([inputs] if self.stage == 0 else []),
            **({} if documents is None else {"documents": documents}),
            target=targets if self.stage == self.stages - 1 else None,
            losses=losses,
            return_outputs=False,
            loss_kwargs={"scale": scale},
        )
        return sum((loss.detach() for loss in losses), start=torch.zeros((), device=inputs.device))

    def forward(self, inputs: Tensor) -> Tensor | None:
        """Pass tokens [B, T] through all stages; the logits on the last stage, None on the others."""
        hidden = inputs
        if self.stage > 0:
            hidden = self._hidden(inputs.shape[0], inputs.shape[1], inputs.device)
            dist.recv(hidden, group=self.group, group_src=self.stage - 1)
        result: Tensor = self.model(hidden)
        if self.stage == self.stages - 1:
            return result
        dist.send(result.contiguous(), group=self.group, group_dst=self.stage + 1)
        return None

    def _ends(self, batch: int, length: int) -> tuple[Tensor, Tensor]:
        """The shapes of input and output, without memory; given these, torch need not run a step to find them."""
        meta, config = torch.device("meta"), self.model.config
        ends = self._hidden(batch, length, meta).requires_grad_(), self._hidden(batch, length, meta).requires_grad_()
        if self.stage == 0:
            return torch.empty(batch, length, dtype=torch.long, device=meta), ends[1]
        if self.stage == self.stages - 1:
            logits = torch.empty(batch, length, config.vocab_size // self._tp, dtype=self._dtype, device=meta)
            return ends[0], logits
        return ends

    def _hidden(self, batch: int, length: int, device: torch.device) -> Tensor:
        return torch.empty(batch, length // self._tp, self.model.config.dim, dtype=self._dtype, device=device)
