"""Whether a checkout is as fast as an older one: signatures, signals, encoding and the token stream, in turns.

    HEADWATER_DATA=... python benchmarks/compare_checkouts.py OLD [--new CHECKOUT] [--turns 7] [--only signals ...]

OLD and CHECKOUT (default: this one) are folders with the code. A turn is a process for each, with PYTHONPATH set to the
checkout, over the same data (benchmarks/kernel_speeds.py). They measure path by path, old and then new, while the other
waits. The first turn compiles and is not counted. Texts are the revised documents of HEADWATER_DATA, or FILES given
with --english and --chinese; the tokenizer is trained on them by the new checkout. Prints of each path the medians in
MB per second of process time, the ratio of the medians, new / old. Then the median and the range of the ratios of a
turn.
"""

import math
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from arguments import data_folder, new_parser
from documents import tables_up_to
from kernel_speeds import PATHS, WEIGHTS
from peer_process import Peer
from token_shards import write_domain

HERE = Path(__file__).resolve().parents[1]


def prepare(folder: Path, files: dict[str, str], megabytes: float, tokens: float, vocab_size: int) -> None:
    """The data that both checkouts read: texts, a tokenizer of them, token shards."""
    for language, file in files.items():
        rows = pa.concat_tables(tables_up_to([file], megabytes))
        pq.write_table(rows.select(["text"]), folder / f"{language}.parquet")
    sources = [str(folder / f"{language}.parquet") for language in files]
    options = ["--vocab-size", str(vocab_size), "--out", str(folder / "tokenizer.json")]
    command = [sys.executable, "-m", "pipelines", "tokenizer", "train", *sources, *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    if done.returncode:
        sys.exit(f"the tokenizer was not trained: {done.stderr.strip()}")
    for seed, (domain, share) in enumerate(WEIGHTS.items()):
        write_domain(folder / domain, math.ceil(tokens * 1e6 * share / 1000) * 1000, seed)


def turn(sides: dict[str, tuple[str, Path]], folder: Path, seconds: float, paths: list[str]) -> dict[str, list[float]]:
    """Bytes per second of each path, old and new, by a new process for each side; path by path one after the other."""
    with ExitStack() as stack:
        peers = []
        for python, checkout in sides.values():
            environment = {"PYTHONPATH": str(checkout)}
            options = (str(folder), "--seconds", str(seconds))
            peer = stack.enter_context(Peer(python, "kernel_speeds.py", None, *options, environment=environment))
            if Path(peer.greeting) != checkout:
                sys.exit(f"{python} imported {peer.greeting} and not {checkout}; give --old-python its own interpreter")
            peers.append(peer)
        return {path: [float(peer.ask(path)) for peer in peers] for path in paths}


def main() -> None:
    """Prepare, take turns, print."""
    parser = new_parser(__doc__)
    parser.add_argument("old", type=Path, metavar="OLD", help="the older checkout")
    parser.add_argument("--new", type=Path, default=HERE, metavar="CHECKOUT", help="(default: this one)")
    parser.add_argument(
        "--old-python", default=sys.executable, metavar="PYTHON", help="(default: the one that runs this)"
    )
    parser.add_argument("--turns", type=int, default=7, help="that are counted (default: 7)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each path in a turn (default: 1)")
    parser.add_argument("--megabytes", type=float, default=20, help="of text of each language (default: 20)")
    parser.add_argument("--tokens", type=float, default=64, help="millions in the stream (default: 64)")
    parser.add_argument("--vocab-size", type=int, default=32_000)
    parser.add_argument("--only", nargs="+", default=[""], metavar="PATH", help=f"of: {'; '.join(PATHS)}")
    parser.add_argument("--english", metavar="FILES", help="instead of HEADWATER_DATA/dups/revisions-en")
    parser.add_argument("--chinese", metavar="FILES", help="instead of HEADWATER_DATA/dups/revisions-zh")
    arguments = parser.parse_args()
    checkouts = {"old": arguments.old.resolve(), "new": arguments.new.resolve()}
    for checkout in checkouts.values():
        if not (checkout / "corpus").is_dir():
            sys.exit(f"{checkout}: no checkout of the project: there is no folder corpus in it")
    given = {"en": arguments.english, "zh": arguments.chinese}
    files = {
        language: file or str(data_folder() / f"dups/revisions-{language}.docs.jsonl.zst")
        for language, file in given.items()
    }
    sides = {"old": (arguments.old_python, checkouts["old"]), "new": (sys.executable, checkouts["new"])}
    paths = [path for path in PATHS if path.startswith(tuple(arguments.only))]
    turns = []
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        prepare(Path(name), files, arguments.megabytes, arguments.tokens, arguments.vocab_size)
        for number in range(arguments.turns + 1):
            turns.append(turn(sides, Path(name), arguments.seconds, paths))
            print(f"turn {number} of {arguments.turns}", file=sys.stderr, flush=True)
    print("| MB/s | old | new | new / old | of a turn: median | range |")
    print("|---|--:|--:|--:|--:|--:|")
    for path in paths:
        old, new = zip(*(measured[path] for measured in turns[1:]))
        before, after = statistics.median(old), statistics.median(new)
        ratios = [mine / theirs for theirs, mine in zip(old, new)]
        print(
            f"| {path} | {before / 1e6:,.1f} | {after / 1e6:,.1f} | {after / before:.3f} | "
            f"{statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f} |"
        )


if __name__ == "__main__":
    main()
