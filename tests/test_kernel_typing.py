"""The rule for the types of kernels (docs/decisions/kernel-typing.md)."""

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
FILES = sorted(path for room in ("corpus", "tokenizer", "train", "pipelines") for path in (HOUSE / room).rglob("*.py"))
ARRAY = "NDArray"  # aliases of corpus.kernels.types say the same in one word


def kernels(path: Path) -> list[ast.FunctionDef]:
    """The functions of a file that numba compiles."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return [
        function
        for function in functions
        if any(name in ast.unparse(decorator) for decorator in function.decorator_list for name in ("njit", "kernel"))
    ]


def test_there_are_kernels() -> None:
    assert sum(len(kernels(path)) for path in FILES) > 150


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_kernels_are_annotated(path: Path) -> None:
    assert "no-untyped-def" not in path.read_text()
    for kernel in kernels(path):
        annotations = [argument.annotation for argument in kernel.args.args] + [kernel.returns]
        assert None not in annotations, f"{path.name}:{kernel.lineno}: annotate every argument and what is returned"
        written = " ".join(ast.unparse(annotation) for annotation in annotations if annotation is not None)
        assert ARRAY not in written, f"{path.name}:{kernel.lineno}: use the aliases of corpus.kernels.types"
