"""Documentation and docstrings read easily for an engineer whose second language is English."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MOST_WORDS = 30  # in a sentence
PUZZLES = re.compile(
    r"\b(whoever|whichever|nobody|no one|thousand million)\b|\bneither\b[^.;]{0,80}\bnor\b", re.IGNORECASE
)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = [
    path
    for room in ("corpus", "tokenizer", "train", "pipelines", "benchmarks")
    for path in sorted((ROOT / room).rglob("*.py"))
]


def sentences(text: str) -> Iterator[str]:
    """The sentences of prose: no code blocks, no tables; inline code counts as one word, and doctests are code."""
    text = re.sub(r"```.*?```|^\s*>>> .*?(?=\n\s*\n|\Z)", "\n\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^ {4,}\S.*$", "", text, flags=re.MULTILINE) if "\n    " in text and "\n\n    " in text else text
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#>]|\d+\.)\s)", text):
        if paragraph.count("|") > 2:
            continue
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", paragraph))
        yield from re.split(r"(?<=[.!?:])\s+", " ".join(plain.split()))


def long_sentences(text: str) -> list[str]:
    """The sentences of more than MOST_WORDS words; a colon ends one."""
    return [one for one in sentences(text) if len(re.findall(r"[^\W_][\w'’,.-]*", one)) > MOST_WORDS]


def docstrings(path: Path) -> Iterator[str]:
    """All docstrings of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages(path: Path) -> None:
    assert long_sentences(path.read_text()) == []
    assert PUZZLES.findall(path.read_text()) == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings(path: Path) -> None:
    texts = list(docstrings(path))
    assert [one for text in texts for one in long_sentences(text)] == []
    assert [text for text in texts if PUZZLES.search(text)] == []


def test_it_would_notice() -> None:
    assert long_sentences("A " + "word " * 40 + "end.")
    assert not long_sentences("A short one. " * 40)
    assert PUZZLES.search("neither of them nor that")
    assert PUZZLES.search("whoever it is")
