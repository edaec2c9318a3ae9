"""`headwater` itself: its version, its help, the recipes that ship with it, and messages that name an extra."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipelines.cli import COMMANDS, main
from pipelines.commands.submit import job_variables
from pipelines.config.recipe import builtin_recipe, load_recipe, shipped

ROOT = Path(__file__).resolve().parents[2]
# torch as if it were not installed: an entry of None makes its import fail with ModuleNotFoundError
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from pipelines.cli import main; sys.exit(main(sys.argv[1:]))"


def test_without_arguments_it_shows_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n    {name}" in shown for name in COMMANDS)


def test_it_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split()[0] == "headwater"


def test_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--verison"])
    assert ended.value.code == 2
    assert "--version" in capsys.readouterr().err


def test_the_recipes_of_the_repository_ship() -> None:
    assert shipped() == sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    found = builtin_recipe("sample")
    assert found is not None
    assert load_recipe(str(found)).name == "sample"


def test_what_the_build_needs_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in (*project["license-files"], project["readme"]):
        assert (ROOT / name).is_file()
        assert f" {name}" in (ROOT / "deploy/Dockerfile").read_text()


def test_a_missing_extra_is_named_with_its_brackets(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, "train", "--tokens", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'headwater[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_is_given_no_path_of_the_submitters_kernels() -> None:
    given = job_variables({"NUMBA_CACHE_DIR": "/home/me", "HOME": "/home/me", "AWS_REGION": "us-east-1"})
    assert given == {"AWS_REGION": "us-east-1", "PYTHONUNBUFFERED": "1"}
