"""What the fork server of `train.distributed.launch` does once, so that no rank has to: imports, and numba's own
start."""

import contextlib
import importlib

import train.pretrain  # noqa: F401
from train.data.interleave import Interleave, Phase

importlib.import_module("numba.np.arraymath")
with contextlib.suppress(ModuleNotFoundError):
    importlib.import_module("torch.utils.tensorboard")
Interleave([Phase(weights=(1.0,), start=0)])
