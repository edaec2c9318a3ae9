"""A program says that kernels are being compiled; a library does not, and what is kept is not announced."""

import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

CALL = "import numpy as np\nfrom train.data.permutation import shuffled\nprint(shuffled(3, 100, 10, 5, np.uint64(1)))\n"
ANNOUNCE = "from corpus.kernels.compilation import announce_compilation\nannounce_compilation()\n"


def run(code: str, cache: Path, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=variables, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True)


def test_the_first_time_is_announced_and_the_second_is_not(tmp_path: Path) -> None:
    first, second = (run(ANNOUNCE + CALL, tmp_path) for _ in range(2))
    start, end = first.stderr.splitlines()
    assert start == "compiling kernels for this machine, once ..."
    assert end.startswith("compiled 2 kernels in ")  # shuffled, and feistel that it calls
    assert second.stderr == ""
    assert first.stdout == second.stdout


def test_a_library_is_silent(tmp_path: Path) -> None:
    assert run(CALL, tmp_path).stderr == ""


def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    run(ANNOUNCE + CALL, tmp_path, stderr=theirs)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how Linux ends the reading of a terminal that nobody writes to any more
        while block := os.read(ours, 1 << 16):
            shown += block
    os.close(ours)
    for ready in range(3):
        assert f"\rcompiling kernels for this machine, once: {ready} of 2" in shown.decode()
