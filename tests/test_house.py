"""The shape of the house: which room may import which, no circle of files, how long a file is, what words mean."""

import ast
import importlib
import pkgutil
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pipelines.stages
from pipelines.engine.stage import Stage

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("corpus", "tokenizer", "train", "pipelines")  # each may import itself and those before it
FORBIDDEN = {"corpus": {"ray", "torch"}, "tokenizer": {"ray", "torch"}, "train": {"ray"}, "pipelines": set()}
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def _imports(path: Path) -> set[str]:
    """The modules and names that a file imports, at its top or inside functions: `a.b` and `a.b.c` for `from a.b import
    c`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import; write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _graph(root: Path) -> dict[str, set[str]]:
    """Each module below `root` with the modules of the house that it imports."""
    modules = {_module(path, root): path for room in ROOMS for path in (root / room).rglob("*.py")}
    graph = {}
    for module, path in modules.items():
        named = {name if name in modules else name.rpartition(".")[0] for name in _imports(path)}
        graph[module] = {name for name in named if name in modules and name != module}
    return graph


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of a circle, the first again at the end; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    forbidden = FORBIDDEN[room] | set(ROOMS[ROOMS.index(room) + 1 :])
    assert {name for name in _imports(path) if name.split(".")[0] in forbidden} == set()


def test_no_circle_of_files() -> None:
    assert _circle(_graph(ROOT)) == []


@pytest.mark.parametrize(
    "back", ["from corpus.a import f", "import corpus.a", "from corpus import a", "def g():\n    from corpus import a"]
)
def test_a_new_circle_is_found(tmp_path: Path, back: str) -> None:
    for room in ROOMS:
        (tmp_path / room).mkdir()
    (tmp_path / "corpus" / "__init__.py").touch()
    (tmp_path / "corpus" / "a.py").write_text("from corpus import b")
    (tmp_path / "corpus" / "b.py").write_text("import json")
    assert _circle(_graph(tmp_path)) == []
    (tmp_path / "corpus" / "b.py").write_text(back)
    assert sorted(set(_circle(_graph(tmp_path)))) == ["corpus.a", "corpus.b"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_concept(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert not text.strip() or ast.get_docstring(ast.parse(text)) or path.name == "__init__.py"


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_are_typed(room: str) -> None:
    assert (ROOT / room / "py.typed").exists()


def _stages() -> list[type[Stage]]:
    """Every class of a stage in the house."""
    for module in pkgutil.walk_packages(pipelines.__path__, "pipelines."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = [], [Stage]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("pipelines.") and "name" in vars(kind):
            found.append(kind)
    return sorted(found, key=lambda kind: kind.name)


def _stage_table() -> dict[str, tuple[str, list[str]]]:
    """Of the glossary's table of stages: the phase of each stage, and its outputs."""
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \| (.+?) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    return {name: (phase, re.findall(r"`([^`]+)`", outputs)) for phase, name, outputs in rows}


def test_every_stage_is_in_its_room_and_in_the_glossary() -> None:
    table, kinds = _stage_table(), _stages()
    assert [kind for kind in kinds if not kind.__module__.startswith("pipelines.stages.")] == []
    assert sorted(table) == [kind.name for kind in kinds]
    for kind in kinds:
        phase, outputs = table[kind.name]
        assert kind.phase == phase, kind.name
        where = getattr(kind, "output", "") or (f"{kind.folder}/" if kind.folder else "")
        assert not where or where in outputs, f"{kind.name}: the glossary has no {where}"


def test_every_word_of_the_glossary_has_one_meaning() -> None:
    text = (ROOT / "docs/glossary.md").read_text()
    words = re.findall(r"^\| ([\w -]+?) \| (?!meaning)", text.split("## Stages")[0], re.MULTILINE)
    assert len(words) > 60
    assert sorted(words) == sorted(set(words))


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text())) == pages
