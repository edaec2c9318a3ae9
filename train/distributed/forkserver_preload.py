"""What the fork server of `train.distributed.launch` does once for all ranks: imports, and numba's own start."""

import contextlib
import importlib

import train.pretrain  # noqa: F401
from train.data.interleave import Interleave, Phase

importlib.import_module("numba.np.arraymath")
with contextlib.suppress(ModuleNotFoundError):
    importlib.import_module("torch.utils.tensorboard")
Interleave([Phase(weights=(1.0,), start=0)])
