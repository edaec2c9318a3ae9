"""What a launcher tells each rank through its environment, and how a rank ends. Launching needs no torch."""

import os
import socket
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from corpus.errors import HeadwaterError


def wait_asleep() -> None:
    """Let OpenMP's threads sleep while they wait for each other, in this process and those started from it.

    They spin otherwise, which on a machine that does other work as well (a Ray worker, a shared server) costs several
    times the speed: 570 against 2,070 tokens/s, measured on two busy cores. A program calls it before torch is first
    imported, as libgomp reads the variable once; what the environment says already stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class PeerLost(HeadwaterError):
    """Another process of the run ended or stopped answering."""


def environment(
    rank: int, size: int, local_rank: int, local_size: int, address: str, port: int, attempt: int = 0
) -> dict[str, str]:
    """What a launcher sets for a process, under the names that torchrun gives them."""
    values = {
        "RANK": rank,
        "WORLD_SIZE": size,
        "LOCAL_RANK": local_rank,
        "LOCAL_WORLD_SIZE": local_size,
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "TORCHELASTIC_RESTART_COUNT": attempt,
    }
    return {name: str(value) for name, value in values.items()}


def is_launched(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher started this process as one of several."""
    return "RANK" in variables and int(variables.get("WORLD_SIZE", "1")) > 1


def is_first_attempt(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether this is the first attempt: False where a launcher started the run again after it lost a process."""
    return variables.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"


def attempted(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """("done", result); ("lasting", error) for what another attempt would not mend; ("lost", reason) otherwise.

    An error of storage counts as lost: it may work again at the next attempt.
    """
    try:
        return "done", function(*arguments)
    except PeerLost as error:
        return "lost", str(error)
    except (HeadwaterError, BrokenPipeError) as error:
        return ("lost", str(error)) if isinstance(error.__cause__, OSError) else ("lasting", error)
    except Exception as error:
        traceback.print_exc()
        return "lost", f"rank {os.environ['RANK']} failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"


def free_port() -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
