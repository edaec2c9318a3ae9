"""One run at a time on a root: two would do the same work twice, and two trainers delete each other's checkpoints.

It is held by a file lock of the operating system, which ends with the process that holds it. So a killed run never
blocks the next, and there is no heartbeat, no timeout and nothing to force.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from corpus.errors import UsageError
from corpus.io import storage


@contextmanager
def only_run(root: str) -> Iterator[None]:
    """Hold `<root>/runs/.lock` while the block runs; raise UsageError, naming the process, where another run has it.

    S3 and some shared disks have no such locks: there nothing is held and nothing refused. The lock belongs to the
    process: a second block in the same process is not refused, and releases the lock when it ends.
    """
    if storage.scheme(root) != "file":
        yield
        return
    path = Path(root, "runs", ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        if _hold(file, root):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}")
            file.flush()
        yield


def _hold(file: TextIO, root: str) -> bool:
    """Lock the file; False on a file system without locks."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        holder = file.read() or "a process that has not said its name yet"
        raise UsageError(f"{root}: another run works there, {holder}; wait until it ends, or end it") from None
    except OSError:
        return False
    return True
