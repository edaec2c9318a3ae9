"""A package whose names are loaded when they are first used, so that importing it costs nothing (PEP 562)."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_exports(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package.

    `names` are what each module gives: its own functions and classes, `NAME as OTHER` for another name here, or `""`
    for the module itself, under the last part of its name. A type checker reads the same imports below
    `TYPE_CHECKING`.
    """
    homes: dict[str, tuple[str, str]] = {}
    for home, given in names.items():
        for name in given:
            inner, _, other = name.partition(" as ")
            homes[other or inner or home.rpartition(".")[2]] = (home, inner)

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, inner = homes[name]
        module = importlib.import_module(home)
        value = getattr(module, inner) if inner else module
        setattr(sys.modules[package], name, value)
        return value

    def everything() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return load, everything, sorted(homes)
