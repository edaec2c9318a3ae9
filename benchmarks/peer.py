"""A peer in an interpreter of its own, over texts that it is given once: asked a line of JSON at a time, so that rounds
of ours and of the peer's can take turns."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any


class Peer:
    """A running script of this folder; use it as a context manager. `greeting` is the first line that it prints.

    The script finds the texts, a JSON list, in the file that is its first argument, and reads them before it greets.
    """

    def __init__(self, python: str, script: str, texts: list[str], *arguments: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "texts.json")
            source.write_text(json.dumps(texts))
            command = [python, Path(__file__).parent / script, source, *arguments]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
            self.greeting = self._answer()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def ask(self, question: Any) -> Any:
        """The answer to a question, both JSON."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())
