"""Cross-entropy that needs no second copy of the logits.

With a vocabulary of 100,000 the logits are the largest tensor of a step, and the usual loss keeps them, an fp32 copy
and a gradient. Here, as in the paper's section 2.4, the logits are converted to fp32 a few rows at a time, and the
gradient is written over them. So only the logits stay in memory, in the precision that the model gave. The loss is a
sum over tokens; divided by the token count of the whole global batch it is independent of micro-batches and ranks.

Under tensor parallelism each rank has the logits of its own columns of the vocabulary only. As in Megatron, ranks
exchange three numbers per token (the largest logit, the sum of exponentials, the target's logit), and each writes the
gradient over its own part.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

IGNORED = -100  # a target that counts for nothing, PyTorch's own convention
CHUNK_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 26}  # fp32 at a time: 1 MiB stays in a core's cache, 256 MiB fills a GPU


def chunk_rows(logits: Tensor) -> int:
    """How many rows of logits [N, V] to hold in fp32 at a time."""
    return max(1, CHUNK_ELEMENTS.get(logits.device.type, 1 << 24) // logits.shape[1])


class _InPlaceCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, scale: float) -> Tensor:
        rows = chunk_rows(logits)
        storage = logits.detach()
        losses = torch.zeros(
            (), dtype=torch.float64 if logits.device.type == "cpu" else torch.float32, device=logits.device
        )
        for start in range(0, logits.shape[0], rows):
            chunk = storage[start : start + rows]
            target = targets[start : start + rows]
            counted = target != IGNORED
            index = target.clamp_min(0)[:, None]
            log_probability = torch.log_softmax(chunk.float(), dim=-1)
            picked = log_probability.gather(1, index)[:, 0]
            losses -= torch.where(counted, picked, 0.0).sum(dtype=losses.dtype)
            if ctx.needs_input_grad[0]:
                gradient = log_probability.exp_()
                gradient.scatter_add_(1, index, torch.full_like(picked, -1.0)[:, None])
                torch.mul(gradient, (counted * scale)[:, None], out=chunk)
        ctx.gradient = storage
        return (losses * scale).float()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        gradient, ctx.gradient = ctx.gradient, None
        # the usual backward() starts from 1: then nothing has to be multiplied
        return (gradient if outputs[0] == 1 else gradient.mul_(outputs[0])), None, None


class _VocabularyParallelCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, scale: float, group: dist.ProcessGroup) -> Tensor:
        storage, rows = logits.detach(), chunk_rows(logits)
        losses, log_sums = _vocabulary_parallel(storage, targets, group)
        if ctx.needs_input_grad[0]:
            factor = (targets != IGNORED) * scale
            for start in range(0, len(storage), rows):
                part = slice(start, start + rows)
                gradient = (storage[part] - log_sums[part, None]).exp_()  # fp32, as one of the two is
                here, index = _own_columns(targets[part], storage.shape[1], group)
                gradient.scatter_add_(1, index[:, None], -here.float()[:, None])
                torch.mul(gradient, factor[part, None], out=storage[part])
        ctx.gradient = storage
        return losses.sum() * scale

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        gradient, ctx.gradient = ctx.gradient, None
        return (gradient if outputs[0] == 1 else gradient.mul_(outputs[0])), None, None, None


def _own_columns(targets: Tensor, columns: int, group: dist.ProcessGroup) -> tuple[Tensor, Tensor]:
    """Which targets [N] are in this rank's columns, and in which column (0 for the others)."""
    own = targets - dist.get_rank(group) * columns
    here = (own >= 0) & (own < columns)
    return here, own.where(here, 0)


def _vocabulary_parallel(logits: Tensor, targets: Tensor, group: dist.ProcessGroup) -> tuple[Tensor, Tensor]:
    """The loss of each target [N] and the log of the sum of exponentials, fp32, from a rank's logits [N, V / tp]."""
    largest = logits.amax(dim=1).float()
    dist.all_reduce(largest, dist.ReduceOp.MAX, group)
    here, index = _own_columns(targets, logits.shape[1], group)
    picked = logits.gather(1, index[:, None])[:, 0].float().where(here, 0.0)
    rows = chunk_rows(logits)
    sums = [(logits[i : i + rows] - largest[i : i + rows, None]).exp_().sum(1) for i in range(0, len(logits), rows)]
    exchanged = torch.stack((torch.cat(sums), picked))
    dist.all_reduce(exchanged, group=group)
    log_sums = exchanged[0].log() + largest
    return (log_sums - exchanged[1]).where(targets != IGNORED, 0.0), log_sums


def cross_entropy_sum(
    logits: Tensor, targets: Tensor, scale: float = 1.0, group: dist.ProcessGroup | None = None
) -> Tensor:
    """`scale` times the summed negative log-likelihood in nats, as an fp32 scalar.

    logits [..., V] in any float type, OVERWRITTEN by their gradient when they require one; targets [...]
    integers, where `IGNORED` counts for nothing. The logits must not be used again. With a `group` of tp
    processes, logits are this rank's columns [..., V / tp] and the result is the same on each.
    """
    flat, wanted = logits.view(-1, logits.shape[-1]), targets.reshape(-1)
    if group is not None:
        result: Tensor = _VocabularyParallelCrossEntropy.apply(flat, wanted, scale, group)
    else:
        result = _InPlaceCrossEntropy.apply(flat, wanted, scale)
    return result


@torch.no_grad()
def token_losses(logits: Tensor, targets: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """The negative log-likelihood of each target in nats, fp32, of the targets' shape; logits are left as they are.

    `group` as for `cross_entropy_sum`.
    """
    flat, wanted = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
    if group is not None:
        return _vocabulary_parallel(flat, wanted, group)[0].view(targets.shape)
    rows = chunk_rows(flat)
    parts = [
        torch.nn.functional.cross_entropy(flat[i : i + rows].float(), wanted[i : i + rows], reduction="none")
        for i in range(0, flat.shape[0], rows)
    ]
    return torch.cat(parts).view(targets.shape)
