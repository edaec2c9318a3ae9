"""Peers in an interpreter of their own: once for an answer, or kept running and asked a line of JSON at a time.

A peer that is not installed, or fails, is told of in one line and left out; our side goes on.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


class PeerMissing(Exception):
    """A peer cannot be run; the message says why."""


@contextmanager
def left_out_if_missing(name: str) -> Iterator[None]:
    """Say in one line that a peer cannot be measured, and go on."""
    try:
        yield
    except PeerMissing as error:
        print(f"  {name} is left out: {error}", flush=True)


def run_peer(
    python: str,
    script: str,
    *arguments: object,
    seconds: float | None = None,
    environment: dict[str, str] | None = None,
) -> Any:
    """The JSON value of the last line that a script of this folder prints; raises PeerMissing.

    `seconds` is all the time that it gets; `environment` is added to ours.
    """
    command = [python, "-W", "ignore", str(FOLDER / script), *map(str, arguments)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=os.environ | (environment or {})
        )
    except OSError as error:
        raise PeerMissing(f"{python}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"not ready after {seconds} s") from None
    if done.returncode:
        raise PeerMissing(_last_line(done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


class Peer:
    """A running script of this folder; use it as a context manager. `greeting` is the first line that it prints.

    The script finds `texts`, if there are any, as a JSON list in the file that is its first argument, and reads them
    before it greets. `environment` is added to ours. Raises PeerMissing where it does not come so far.
    """

    def __init__(
        self,
        python: str,
        script: str,
        texts: Sequence[str] | None,
        *arguments: str,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "texts.json")
            source.write_text(json.dumps(texts))
            command = [python, str(FOLDER / script), *([] if texts is None else [str(source)]), *arguments]
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    text=True,
                    bufsize=1,
                    env=os.environ | (environment or {}),
                )
            except OSError as error:
                raise PeerMissing(f"{python}: {error.strerror}") from None
            self.greeting = self._answer()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._errors.close()

    def ask(self, question: Any) -> Any:
        """The answer to a question, both JSON."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise PeerMissing(_last_line(self._errors.read()))
        return json.loads(line)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it ended without a word"])[-1]
