"""Compiled kernels follow every file they were compiled from, not only the one they are in."""

import os
import subprocess
import sys
from pathlib import Path

from corpus.kernels.cache import VARIABLE, content_of_kernels

CALLER = "from numba import njit\nimport corpus\nfrom corpus.callee import double\n\n\n" + (
    "@njit(cache=True)\ndef answer(x):\n    return double(x)\n\n\nprint(answer(21))\n"
)
CALLEE = "from numba import njit\n\n\n@njit(cache=True)\ndef double(x):\n    return {body}\n"


def run(house: Path, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-c", "import corpus.caller"]
    done = subprocess.run(command, cwd=house, env=clean | environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def small_house(root: Path) -> Path:
    """A house of two kernels, the second called by the first from another file."""
    room = root / "corpus"
    (room / "kernels").mkdir(parents=True)
    source = Path(__file__).resolve().parents[3] / "corpus"
    for name in ("__init__.py", "kernels/__init__.py", "kernels/cache.py"):
        (room / name).write_bytes((source / name).read_bytes())
    (room / "caller.py").write_text(CALLER)
    (room / "callee.py").write_text(CALLEE.format(body="2 * x"))
    return root


def test_a_changed_callee_is_compiled_into_its_callers(tmp_path: Path) -> None:
    house = small_house(tmp_path)
    assert run(house) == "42"
    (house / "corpus/callee.py").write_text(CALLEE.format(body="3 * x"))
    assert run(house) == "63"


def test_a_chosen_folder_is_left_alone(tmp_path: Path) -> None:
    house = small_house(tmp_path)
    run(house, NUMBA_CACHE_DIR=str(tmp_path / "chosen"))
    assert list((tmp_path / "chosen").rglob("*.nbi"))
    assert not list((house / "corpus").rglob("kernels-*"))


def test_other_files_do_not_matter(tmp_path: Path) -> None:
    house = small_house(tmp_path)
    before = content_of_kernels(house)
    (house / "corpus/notes.py").write_text("x = 1\n")
    assert content_of_kernels(house) == before
    (house / "corpus/quality.py").write_text("from corpus.kernels.jit import kernel\n")
    assert content_of_kernels(house) != before
