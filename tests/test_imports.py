"""Importing changes nothing in the process, and the rooms' packages cost next to nothing."""

import importlib
import os
import pkgutil
import subprocess
import sys
import types

import pytest

COMPARE = """
import importlib, os, pkgutil, signal, sys
import numba.core.config as config, torch, ray
def state():
    numbas = {name: repr(value) for name, value in vars(config).items() if name.isupper()}
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TORCH")}  # torch's own
    return variables, numbas, list(sys.path), signal.getsignal(signal.SIGINT)
before = state()
for room in ("corpus", "tokenizer", "train", "pipelines"):
    for module in pkgutil.walk_packages(importlib.import_module(room).__path__, room + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
after = state()
for old, new in zip(before, after):
    assert old == new, (old, new)
"""


def test_no_import_changes_the_process() -> None:
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", COMPARE], check=True)


def test_the_packages_alone_load_nothing() -> None:
    code = "import sys, corpus, tokenizer, train\nprint(*(name for name in sys.modules if '.' not in name))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"numba", "numpy", "pyarrow", "torch", "ray"}.isdisjoint(loaded)


def test_openmp_is_told_to_wait_asleep_before_torch_is_loaded() -> None:
    code = """
import os, sys
import pipelines.cli, pipelines.commands.train, pipelines.stages, train.distributed.launch
assert "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ
pipelines.stages.train.require_torch()
assert "torch" in sys.modules and os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
"""
    variables = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    subprocess.run([sys.executable, "-c", code], env=variables, check=True)


@pytest.mark.parametrize("room", ["corpus", "tokenizer", "train"])
def test_no_export_is_hidden_by_a_module(room: str) -> None:
    """Importing `room.name` as a module sets the attribute `name`, so a function of that name would be gone."""
    package = importlib.import_module(room)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    exported = {name for name in package.__all__ if not isinstance(getattr(package, name), types.ModuleType)}
    assert exported & modules == set()
