"""Clipping by the norm of the whole gradient, whose parts are on many processes.

DTensor adds up the squares of what is split over tensor- and data-parallel ranks. The squares of the pipeline's stages,
which hold different parameters, are added up here. So every process scales by the same factor, that of a single
process.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


@torch.no_grad()
def clip_gradients(
    parameters: Iterable[nn.Parameter], max_norm: float, stages: dist.ProcessGroup | None = None
) -> float:
    """Scale gradients in place so that their common norm is `max_norm` at most; return the norm they had.

    `stages` is the group of the pipeline's processes, each with parameters of its own.
    """
    parameters = list(parameters)
    norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    if stages is not None:
        squares = norm.square()
        dist.all_reduce(squares, group=stages)
        norm = squares.sqrt()
    clip_grads_with_norm_(parameters, max_norm, norm)
    return float(norm)
