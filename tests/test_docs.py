"""What the documentation shows in Python: every import works, and the examples of docs/api.md run as written."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ROOMS = ("corpus", "tokenizer", "train", "pipelines")


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def imports(page: Path) -> list[str]:
    """The imports in a page's code, and those that its sentences mention."""
    text = page.read_text()
    mentioned = re.findall(r"`(from [\w.]+ import [\w, ]+)`", text)
    lines = [node for block in blocks(page) for node in ast.walk(ast.parse(block))]
    return [*mentioned, *(ast.unparse(node) for node in lines if isinstance(node, ast.Import | ast.ImportFrom))]


@pytest.mark.parametrize("page", [page for page in PAGES if imports(page)], ids=lambda page: page.name)
def test_imports_work(page: Path) -> None:
    for line in imports(page):
        if "torch" in line or "train.dataset" in line:
            pytest.importorskip("torch")
        exec(line, {})


def test_the_short_paths_of_the_guides_are_kept() -> None:
    found = {line for page in PAGES for line in imports(page)}
    assert {"from corpus import spans, table", "from tokenizer.encode import Encoder"} <= found
    assert {
        "from train.stream import TokenStream",
        "from train.boundaries import cumulative_lengths, positions",
    } <= found


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in blocks(ROOT / "docs/api.md"):
        exec(compile(block, "docs/api.md", "exec"), scope)


@pytest.mark.parametrize("room", ["corpus", "tokenizer", "train"])
def test_every_export_is_documented(room: str) -> None:
    text = (ROOT / "docs/api.md").read_text()
    section = text.split(f"\n## {room}\n")[1].split("\n## ")[0]
    missing = [name for name in importlib.import_module(room).__all__ if not re.search(rf"`{name}\b", section)]
    assert missing == []
