"""Two runs on one root: the second is refused while the first lives, and never after it died."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from corpus.errors import UsageError
from pipelines.cli import main
from pipelines.engine.run_lock import only_run
from tests.pipelines.small_run import small_recipe, write_crawl

HOLDER = """
import os, signal, sys
from pipelines.engine.run_lock import only_run
with only_run(sys.argv[1]):
    child = os.fork()  # as a run forks its workers: it outlives the run that is killed
    if child:
        print(child, flush=True)
    signal.pause()
"""


def _recipe(folder: Path) -> str:
    (folder / "books.jsonl").write_text('{"text": "A book of one line."}\n')
    recipe = {"name": "one", "root": str(folder / "root"), "train": None}
    recipe["inputs"] = [{"name": "books", "files": [str(folder / "books.jsonl")], "language": "en"}]
    (folder / "one.yaml").write_text(yaml.safe_dump(recipe))
    return str(folder / "one.yaml")


@contextmanager
def another_run(root: Path) -> "Iterator[tuple[subprocess.Popen[str], int]]":
    """A process that works on a root, and the id of the fork that outlives it."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    child = int(holder.stdout.readline())
    try:
        yield holder, child
    finally:
        holder.kill()
        holder.wait()
        os.kill(child, signal.SIGKILL)


def test_refused_while_another_lives_and_not_after_it_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    command = ["run", _recipe(tmp_path), "--workers", "0", "--until", "extract", "--no-report"]
    with another_run(root) as (holder, child):
        assert main(command) == 2
        assert f"{root}: another run works there, process {holder.pid} on " in capsys.readouterr().err
        assert not (root / "documents").exists()
        with only_run(str(tmp_path / "another root")):
            pass
        holder.kill()
        holder.wait()
        os.kill(child, 0)
        assert main(command) == 0
        assert (root / "documents").exists()
        assert main(command) == 0


def test_training_a_recipe_waits_for_a_run_of_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    crawl, root, path = tmp_path / "crawl", tmp_path / "root", tmp_path / "small.yaml"
    write_crawl(crawl)
    recipe = small_recipe(crawl, root).model_dump(mode="json")
    recipe["train"] |= {"model": "nano", "steps": 2, "sequence_length": 16, "device": "cpu"}
    path.write_text(yaml.safe_dump(recipe))
    assert main(["run", str(path), "--workers", "0", "--until", "tokens", "--no-report"]) == 0
    with another_run(root) as (holder, _):
        assert main(["train", str(path)]) == 2
        assert f"process {holder.pid} on " in capsys.readouterr().err
        assert not (root / "train").exists()
    assert main(["train", str(path)]) == 0
    assert (root / "train/manifest.json").exists()


def test_where_there_are_no_locks_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    with only_run(str(tmp_path)), only_run(str(tmp_path)), only_run("s3://nowhere/root"):
        pass


def test_what_fails_inside_is_raised_and_the_root_is_free_again(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inside"), only_run(str(tmp_path)):
        raise UsageError("inside")
    done = subprocess.run([sys.executable, "-c", HOLDER.replace("signal.pause()", "pass"), str(tmp_path)], check=False)
    assert done.returncode == 0
