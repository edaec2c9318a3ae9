"""The process group of a run: the rank of this process, and channels for small messages between the ranks.

A launcher (`train.distributed.launch`, torchrun, a Ray actor) says through the environment's RANK, WORLD_SIZE,
LOCAL_RANK, MASTER_ADDR and MASTER_PORT which of how many processes this is. Without them it is the only one, and no
process group is made. Beside the groups that carry tensors there are two gloo groups for small messages: `control` for
what the ranks agree on between steps, `background` for the thread that writes checkpoints, so that the two never wait
for each other. When a process dies, its sockets close, and a rank that waits for it fails at once. One that hangs is
given up after `TIMEOUT`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from train.distributed.rank_environment import PeerLost, is_launched

TIMEOUT = timedelta(minutes=10)  # torch's own default for NCCL


class Channel:
    """Small messages between all ranks, which must call the same methods in the same order."""

    def __init__(self, rank: int = 0, size: int = 1, group: Any = None) -> None:
        self.rank = rank
        self.size = size
        self.group = group

    def agree(self, value: int) -> int:
        """Rank 0's number, on every rank."""
        if self.size == 1:
            return value
        number = torch.tensor(value)
        dist.broadcast(number, 0, group=self.group)
        return int(number)

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0, group=self.group)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, on every rank."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values


@dataclass(frozen=True)
class World:
    """This process among those of the run."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among those of this machine
    local_size: int = 1
    control: Channel = field(default_factory=Channel)
    background: Channel = field(default_factory=Channel)

    @property
    def first(self) -> bool:
        """Whether this is the rank that prints and writes for all."""
        return self.rank == 0


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the process group of the run, if there is one, and leave it at the end.

    Raises PeerLost where the block fails because another process did.
    """
    if not is_launched():
        yield World()
        return
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank, local_size = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=TIMEOUT)
        groups = [dist.new_group(backend="gloo", timeout=TIMEOUT) for _ in range(2)]
        yield World(rank, size, local_rank, local_size, *(Channel(rank, size, group) for group in groups))
    except RuntimeError as error:
        if not _is_about_peers(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise PeerLost(
            f"rank {rank} of {size} lost another process of the run ({reason}); what that one said stands above; the "
            "same command goes on from the last checkpoint"
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _is_about_peers(error: RuntimeError) -> bool:
    said = str(error).lower()
    return isinstance(error, dist.DistError) or any(sign in said for sign in ("gloo", "nccl", "connection", "peer"))
