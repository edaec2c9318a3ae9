"""Cross-entropy that needs no second copy of the logits.

With a vocabulary of 100,000 the logits are the largest tensor of a step, and the usual loss keeps them, an
fp32 copy and a gradient. Here, as in the paper's section 2.4, the logits are converted to fp32 a few rows at
a time, and the gradient is written over them: what is left in memory is the logits alone, in whatever
precision the model gave. The loss is a sum over tokens; dividing by the token count of the whole global batch
makes it independent of micro-batches and ranks.
"""

from typing import Any

import torch
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


def cross_entropy_sum(logits: Tensor, targets: Tensor, scale: float = 1.0) -> Tensor:
    """`scale` times the summed negative log-likelihood in nats, as an fp32 scalar.

    logits [..., V] in any float type, OVERWRITTEN by their gradient when they require one; targets [...]
    integers, where `IGNORED` counts for nothing. The logits must not be used again.
    """
    result: Tensor = _InPlaceCrossEntropy.apply(logits.view(-1, logits.shape[-1]), targets.reshape(-1), scale)
    return result


@torch.no_grad()
def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """The negative log-likelihood of each target in nats, fp32, of the targets' shape; logits are left as they are."""
    flat, wanted = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
    rows = chunk_rows(flat)
    parts = [
        torch.nn.functional.cross_entropy(flat[i : i + rows].float(), wanted[i : i + rows], reduction="none")
        for i in range(0, flat.shape[0], rows)
    ]
    return torch.cat(parts).view(targets.shape)
