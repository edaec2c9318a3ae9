"""The shape of the house: which room may import which, and how long a file may be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("corpus", "tokenizer", "train", "pipelines")
SHARED = {"corpus.io.storage", "corpus.io.table", "corpus.io.buffers", "corpus.errors"}
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def _forbidden(room: str, name: str) -> bool:
    top = name.split(".")[0]
    if top == "ray":
        return room != "pipelines"
    if top == "torch":
        return room in ("corpus", "tokenizer")
    if top not in ROOMS or top == room or room == "pipelines":
        return False
    if room == "corpus" or top == "pipelines":
        return True
    if room == "tokenizer" and top == "train":
        return True
    return top == "corpus" and not any(name == ok or name.startswith(ok + ".") for ok in SHARED | {"corpus"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert [name for name in sorted(_imports(path)) if _forbidden(room, name) and name != "corpus"] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_concept(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert not text.strip() or ast.get_docstring(ast.parse(text)) or path.name == "__init__.py"


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_are_typed(room: str) -> None:
    assert (ROOT / room / "py.typed").exists()
