"""The tutorials in the packages' docstrings, and the examples of what they export, do what they say."""

import doctest
import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest

from corpus.errors import UsageError
from corpus.language import find_model

ROOMS = ("corpus", "tokenizer", "train")


EXPORTED = [(room, name) for room in ROOMS for name in ("", *importlib.import_module(room).__all__)]


@pytest.mark.parametrize(("room", "name"), EXPORTED)
def test_examples_run(room: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if room == "train":
        pytest.importorskip("torch")
    if name == "identify_language":
        try:
            find_model()
        except UsageError as error:
            pytest.skip(str(error))
    monkeypatch.chdir(tmp_path)
    thing = importlib.import_module(room)
    if name:
        thing = getattr(thing, name)
        assert inspect.getdoc(thing), f"{room}.{name} has no docstring"
        assert isinstance(thing, ModuleType) or inspect.getmodule(thing).__name__.split(".")[0] in ROOMS
    scope = vars(inspect.getmodule(thing))
    for test in doctest.DocTestFinder(recurse=False).find(thing, f"{room}.{name}", globs=dict(scope)):
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
        assert result.failed == 0, f"{result.failed} examples of {room}.{name} fail"
        assert name or result.attempted
