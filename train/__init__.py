"""Pretraining: the model, the stream of tokens, and the loop. `headwater[train]` brings the torch that it needs.

OpenMP's threads spin while they wait for each other, which on a machine that does other work as well (a Ray worker,
a shared server) costs several times the speed: 570 against 2,070 tokens/s, measured on two busy cores. They are told
to sleep instead, unless the environment says otherwise; that has to come before torch is first imported.
"""

import os

import corpus  # noqa: F401  (decides where compiled kernels are kept)

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
