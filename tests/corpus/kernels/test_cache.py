"""Compiled kernels follow every file they were compiled from, and are kept where this user can write."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corpus.kernels.cache import ROOMS, content_of_kernels

ROOT = Path(__file__).resolve().parents[3]
NEEDED = ("__init__", "errors", "io/__init__", "io/cache_folder", "kernels/__init__", "kernels/cache")
KERNEL = "from {home} import njit\n{more}\n\n@njit(cache=True)\ndef {name}(x):\n    return {body}\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A house of two kernels, the second called by the first from another file."""
    root = tmp_path / "house"
    for name in NEEDED:
        target = root / f"corpus/{name}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / f"corpus/{name}.py").read_bytes())
    caller = KERNEL.format(home="numba", more="from corpus.callee import double\n", name="answer", body="double(x)")
    (root / "corpus/caller.py").write_text(caller + "\n\nprint(answer(21))\n")
    (root / "corpus/callee.py").write_text(callee("2 * x"))
    return root


def callee(body: str) -> str:
    return KERNEL.format(home="corpus.kernels", more="", name="double", body=body)


def run(house: Path, code: str = "import corpus.caller", **environment: str | None) -> subprocess.CompletedProcess[str]:
    changes = {"NUMBA_CACHE_DIR": None, "PYTHONPATH": None} | environment
    variables = {name: value for name, value in (os.environ | changes).items() if value is not None}
    return subprocess.run([sys.executable, "-c", code], cwd=house, env=variables, capture_output=True, text=True)


def kept(folder: Path) -> list[str]:
    return sorted({path.parent.parent.name for path in folder.rglob("*.nbi")})


def test_a_changed_callee_is_compiled_into_its_callers(house: Path) -> None:
    assert run(house).stdout == "42\n"
    assert kept(house / "corpus/__pycache__") == [f"kernels-{content_of_kernels(house)}"]
    (house / "corpus/callee.py").write_text(callee("3 * x"))
    assert run(house).stdout == "63\n"


def test_a_chosen_folder_is_taken(house: Path, tmp_path: Path) -> None:
    assert run(house, NUMBA_CACHE_DIR=str(tmp_path / "chosen")).stdout == "42\n"
    assert len(kept(tmp_path / "chosen")) == 1
    assert not kept(house)


def test_functions_of_others_are_kept_as_ever(house: Path) -> None:
    other = KERNEL.format(home="numba", more="", name="mine", body="x + 1")
    (house / "mine.py").write_text(other + "\n\nprint(mine(1))\n")
    assert run(house, "import corpus.caller, mine").stdout == "42\n2\n"
    assert len(list((house / "__pycache__").glob("mine.mine*.nbi"))) == 1


def test_the_users_cache_comes_next_and_then_a_private_folder(house: Path, tmp_path: Path) -> None:
    (house / "corpus/__pycache__").write_text("")  # so that nothing can be kept beside the package
    assert run(house, XDG_CACHE_HOME=str(tmp_path / "cache")).stdout == "42\n"
    assert len(kept(tmp_path / "cache/headwater")) == 1
    (tmp_path / "temporary").mkdir()
    nowhere = {"XDG_CACHE_HOME": None, "HOME": "/dev/null/none", "TMPDIR": str(tmp_path / "temporary")}
    assert run(house, **nowhere).stdout == "42\n"
    private = tmp_path / f"temporary/headwater-{os.getuid()}"
    assert len(kept(private)) == 1
    assert private.stat().st_mode & 0o777 == 0o700


def test_a_temporary_folder_that_others_can_write_is_refused(house: Path, tmp_path: Path) -> None:
    (house / "corpus/__pycache__").write_text("")
    (tmp_path / f"headwater-{os.getuid()}").mkdir()
    (tmp_path / f"headwater-{os.getuid()}").chmod(0o777)
    done = run(house, XDG_CACHE_HOME="/dev/null", TMPDIR=str(tmp_path))
    assert done.returncode
    assert "can be written; tried" in done.stderr
    assert not kept(tmp_path)


def test_other_files_do_not_matter(house: Path) -> None:
    before = content_of_kernels(house)
    content_of_kernels.cache_clear()
    (house / "corpus/notes.py").write_text("x = 1\n")
    assert content_of_kernels(house) == before
    content_of_kernels.cache_clear()
    (house / "corpus/quality.py").write_text("from corpus.kernels.jit import kernel\n")
    assert content_of_kernels(house) != before


def _reached(path: Path, seen: set[Path]) -> set[Path]:
    """The files of the house that a file imports as it is loaded, however deep."""
    for node in ast.parse(path.read_text()).body:
        names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        for name in names:
            base = ROOT / name.replace(".", "/")
            for found in (base.with_suffix(".py"), base / "__init__.py"):
                if name.split(".")[0] in ROOMS and found.is_file() and found not in seen:
                    seen.add(found)
                    _reached(found, seen)
    return seen


@pytest.mark.parametrize("room", ROOMS)
def test_every_kernel_is_kept_by_content(room: str) -> None:
    kernels = ROOT / "corpus/kernels"
    for path in (ROOT / room).rglob("*.py"):
        if "njit" in path.read_text() and path.parent != kernels:
            assert any(found.parent == kernels for found in _reached(path, set())), f"{path} reaches no corpus.kernels"
