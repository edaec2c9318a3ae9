"""What the command lines of all benchmarks share: the parser, `--peers`, the folder of real data."""

import argparse
import os
import sys
from pathlib import Path


def new_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring as it stands."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_peers(parser: argparse.ArgumentParser, needs: str) -> None:
    """Add `--peers PYTHON`; `needs` names the packages of that environment."""
    parser.add_argument("--peers", metavar="PYTHON", help=f"the interpreter of an environment with {needs}")


def add_documents(parser: argparse.ArgumentParser, of: str) -> None:
    """Add `--documents N`: only the first N of each set of `of`."""
    parser.add_argument("--documents", type=int, metavar="N", help=f"only the first N {of} (default: all)")


def data_folder() -> Path:
    """The folder that HEADWATER_DATA names; exits with a message where it names none."""
    folder = Path(os.environ.get("HEADWATER_DATA", ""))
    if folder == Path() or not folder.is_dir():
        sys.exit("set HEADWATER_DATA to the folder of real data")
    return folder
