"""Starting weights that depend on nothing but the seed and the parameter's name.

Each parameter is drawn whole, on the CPU, from a generator of its own that is seeded by its full name. So it is the
same on every device, in every order of construction, and on every parallel layout. One stream of random numbers for
the whole model would not give that. Matrices are normal with the configured deviation (0.006 in the paper's section
2.3), the gains of the norms are one.
"""

import torch
import xxhash
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from train.model.llama import Transformer


def initial_value(name: str, shape: torch.Size, std: float, seed: int) -> Tensor:
    """The starting value of a parameter, fp32 on the CPU."""
    if len(shape) < 2:
        return torch.ones(shape)
    generator = torch.Generator().manual_seed(
        xxhash.xxh3_64_intdigest(f"{seed}/{name}".encode()) >> 1
    )  # 63 bits: it takes no more
    return torch.empty(shape).normal_(0.0, std, generator=generator)


@torch.no_grad()
def initialise(model: Transformer, seed: int) -> None:
    """Fill every parameter of a model, in place; of a distributed one, the part that this process holds."""
    for name, parameter in model.named_parameters():
        value = initial_value(name, parameter.shape, model.config.init_std, seed)
        if isinstance(parameter, DTensor):
            shape, offset = compute_local_shape_and_global_offset(
                parameter.shape, parameter.device_mesh, parameter.placements
            )
            value = value[tuple(slice(start, start + length) for start, length in zip(offset, shape))]
            parameter.to_local().copy_(value)
        else:
            parameter.copy_(value)
