"""Starting the processes of a run on this machine, and starting them again when one is lost.

A fork server imports torch once and each rank is a fork of it, so starting costs little, and starting again less. The
launcher only watches. When a rank dies (a signal, a fault of the device), the others are ended within seconds. Then all
start again from the last checkpoint, on another port, so that nothing of the earlier attempt is in the way. What a
restart cannot mend, a wrong setting or a loss that is no number, is not tried again. Ranks end when the launcher does,
even if it is killed. `torchrun` may be used instead; it watches in the same way.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from corpus.errors import HeadwaterError
from train.distributed.rank_environment import attempted, environment, free_port, wait_asleep

GRACE_SECONDS = 5.0  # between asking a rank to end and making it


def launch(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    size: int,
    *,
    restarts: int,
    note: Callable[[str], None],
) -> Any:
    """Call `function(*arguments)` in `size` processes that form a run, and return what that of rank 0 returned.

    Function and arguments must be picklable. Raises the HeadwaterError that a rank raised, and HeadwaterError where
    ranks were lost more than `restarts` times; each loss is told to `note`.
    """
    wait_asleep()  # before the fork server imports torch
    for attempt in range(restarts + 1):
        outcome = _attempt(function, arguments, size, attempt)
        if not isinstance(outcome, Lost):
            return outcome
        note(str(outcome) + (f"; starting again ({attempt + 1} of {restarts})" if attempt < restarts else ""))
    raise HeadwaterError(
        f"{outcome}; this was attempt {restarts + 1}, the last; mend what ended it (out of memory?) and give the same "
        "command again: it goes on from the last checkpoint"
    )


class Lost(Exception):
    """A rank ended without a result."""


def _attempt(function: Callable[..., Any], arguments: tuple[Any, ...], size: int, attempt: int) -> Any:
    """What rank 0 returned, or Lost; raise what a rank raised that another attempt would not mend."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train.distributed.forkserver_preload", function.__module__])
    port = free_port()
    ranks, ends = [], []
    for rank in range(size):
        ours, theirs = context.Pipe(duplex=False)
        variables = dict(os.environ) | environment(rank, size, rank, size, "127.0.0.1", port, attempt)
        process = context.Process(target=run_rank, args=(theirs, variables, function, arguments), daemon=True)
        process.start()
        theirs.close()
        ranks.append(process)
        ends.append(ours)
    try:
        result = None
        running = dict(enumerate(ends))
        while running:
            ready = wait(list(running.values()))
            for rank in [rank for rank, end in running.items() if end in ready]:
                kind, value = _receive(running.pop(rank))
                if kind == "lasting":
                    raise value
                if kind == "lost":
                    return _cause(ranks, rank, value)
                result = value if rank == 0 else result
        return result
    finally:
        _end(ranks)


def _receive(end: Connection) -> tuple[str, Any]:
    try:
        kind, value = end.recv()
    except EOFError:
        return "lost", ""
    return kind, value


def _cause(ranks: list[Any], rank: int, reason: str) -> Lost:
    """What ended the run: a rank that was killed, if there is one, as the others only say that they lost it."""
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        for number, process in enumerate(ranks):
            if process.exitcode is not None and process.exitcode < 0:
                return Lost(f"rank {number} of {len(ranks)} was ended by {signal.Signals(-process.exitcode).name}")
        time.sleep(0.02)
    return Lost(reason or f"rank {rank} of {len(ranks)} ended with status {ranks[rank].exitcode}")


def _end(ranks: list[Any]) -> None:
    for process in ranks:
        process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in ranks:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()


def run_rank(
    end: Connection, variables: dict[str, str], function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """One rank's process: send ("done", result), ("lasting", error) or ("lost", reason)."""
    _end_with_the_launcher()
    os.environ |= variables  # the fork server's are those of the first launch
    end.send(attempted(function, arguments))
    end.close()


def _end_with_the_launcher() -> None:
    """End this process when the launcher ends for any reason, and not for an interrupt, which the launcher handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the launcher ends its ranks
    launcher = multiprocessing.parent_process()
    assert launcher is not None

    def watch() -> None:
        wait([launcher.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
