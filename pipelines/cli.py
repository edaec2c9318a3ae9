"""`headwater`: the command line.

One file per command in pipelines/commands; only the one that is called is imported, so that `headwater --help` does not
wait for numba or torch. Exit status: 0 done, 1 some input was set aside or the work failed, 2 wrong usage.
"""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Iterable, Sequence

from corpus.errors import HeadwaterError, UsageError, nearest
from pipelines import __version__

COMMANDS = {
    "run": "every stage of a recipe that is not done",
    "plan": "a recipe's phases and shards: what is done, what is to do",
    "report": "draw the report of a recipe",
    "why": "what happened to a document, by id, URL or token",
    "submit": "run a recipe as a Ray job; follow its log and exit status",
    "sample": "make a small real crawl out of installable packages",
    "extract": "WARC or WET files to documents",
    "dedup": "near-duplicates among documents",
    "passages": "passages that repeat inside documents",
    "filter": "quality signals and verdicts of documents",
    "filter try": "what a changed threshold would keep, with examples from both sides",
    "mix try": "several mixtures side by side, from the counts of a run",
    "mix fit": "weights fitted from proxy runs",
    "classifier": "train a fastText classifier of quality or topics",
    "perplexity": "train an n-gram model that judges how usual a text is",
    "tokenizer": "train a byte-level BPE tokenizer",
    "tokens": "documents to token shards",
    "train": "pretrain a model on token shards",
}


def build_parser(chosen: str) -> argparse.ArgumentParser:
    """The parser, with the arguments of the chosen command and the names of all."""
    parser = argparse.ArgumentParser(
        prog="headwater",
        description="From raw Common Crawl dumps to a pretraining run.",
        epilog="Example: headwater run recipes/sample.yaml",
    )
    parser.add_argument("--version", action="version", version=f"headwater {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        if name == chosen:
            importlib.import_module(f"pipelines.commands.{name.replace(' ', '_')}").register(commands)
        else:
            commands.add_parser(name, help=summary)
    return parser


def _nearest(option: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown option: the option that was probably meant."""
    options = [f"--{name.replace('_', '-')}" for name in known]
    found = difflib.get_close_matches(option.split("=", 1)[0], options, n=1)
    return f"; did you mean `{found[0]}`?" if found else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; errors meant for people are printed as one message."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if " ".join(words[:2]) in COMMANDS:
        words = [" ".join(words[:2]), *words[2:]]
    chosen = words[0] if words and not words[0].startswith("-") else ""
    if chosen and chosen not in COMMANDS:
        mend = nearest(chosen, COMMANDS, "the commands are:")
        print(f"headwater: there is no command `{chosen}`; {mend}", file=sys.stderr)
        return 2
    try:
        parser = build_parser(chosen)
        parsed, unknown = parser.parse_known_args(words)
        if unknown:
            parser.error(f"{chosen} has no option {unknown[0]}{_nearest(unknown[0], vars(parsed))}".lstrip())
        if not chosen:
            parser.print_help()
            return 0
        if "corpus.kernels" in sys.modules:  # else the command compiles nothing, and would wait for numba
            from corpus.kernels.compilation import announce_compilation

            announce_compilation()
        return int(parsed.run(parsed) or 0)
    except UsageError as error:
        print(f"headwater: {error}", file=sys.stderr)
        return 2
    except HeadwaterError as error:
        print(f"headwater: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"headwater: {error.filename or 'reading or writing'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("headwater: stopped; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
