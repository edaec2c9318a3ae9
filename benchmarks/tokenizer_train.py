"""Training a byte-level BPE: Headwater beside the `tokenizers` library: same text, pre-tokenizer, sizes; one run.

    python benchmarks/multilingual_text.py --data HEADWATER_DATA --out text        (400 MB of real text)
    python benchmarks/tokenizer_train.py text --vocab-size 100000 [--megabytes 100] [--cache FOLDER]

Each reads the files batch by batch in a process of its own, so that its peak memory is its own; the merges are then
compared one by one. `--cache` keeps the library's result, which takes minutes, for later runs over the same text.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from arguments import new_parser
from documents import tables_up_to, text_bytes

from tokenizer.alphabet import ALPHABET, SYMBOLS


def ours(texts: Iterator[pa.ChunkedArray], vocab_size: int, out: str) -> dict[str, float]:
    """Count and merge; the time to compile the kernels, which is spent once on a machine, is kept apart."""
    from tokenizer.pretoken_counts import PretokenCounter
    from tokenizer.train import train
    from tokenizer.vocabulary import Vocabulary

    start = time.perf_counter()
    warm = PretokenCounter()
    warm.add(pa.array(["warm up é 中"]))
    train(warm.result(), 250)
    compiled = time.perf_counter()
    counter = PretokenCounter()
    for batch in texts:
        counter.add(batch)
    counts = counter.result()
    del counter
    counted = time.perf_counter()
    merges = train(counts, vocab_size)
    merged = time.perf_counter()
    Vocabulary.from_merges(merges).save(out)
    return {
        "seconds": merged - compiled,
        "counting": counted - compiled,
        "merging": merged - counted,
        "compiling": compiled - start,
        "pretokens": len(counts),
    }


def library(texts: Iterator[pa.ChunkedArray], vocab_size: int, out: str) -> dict[str, float]:
    """The library's trainer with the same components, on all cores it takes."""
    from tokenizers import Tokenizer, models, trainers

    from tokenizer.pretokenizer import build_components

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = build_components()
    alphabet = [SYMBOLS[byte] for byte in ALPHABET]
    start = time.perf_counter()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator((batch.to_pylist() for batch in texts), trainer)
    seconds = time.perf_counter() - start
    tokenizer.save(out)
    return {"seconds": seconds}


def measure(which: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run one of the two in a process of its own, which leaves `which`.json and `which`.figures.json in the folder."""
    figures = folder / f"{which}.figures.json"
    if not (which == "library" and arguments.cache and figures.exists()):
        options = ["--vocab-size", str(arguments.vocab_size), "--megabytes", str(arguments.megabytes)]
        command = [sys.executable, __file__, *arguments.files, *options, "--worker", which, str(folder)]
        if subprocess.run(command).returncode:
            sys.exit(f"{which} failed; it says why above")
    value: dict[str, Any] = json.loads(figures.read_text())
    return value


def work(arguments: argparse.Namespace) -> None:
    """What the process does: read, train, write the figures."""
    which, folder = arguments.worker
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    texts = (rows["text"] for rows in tables_up_to(arguments.files, arguments.megabytes))
    run = {"ours": ours, "library": library}[which]
    figures: dict[str, Any] = run(texts, arguments.vocab_size, f"{folder}/{which}.json")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {name: round(value, 2) for name, value in figures.items()}
    figures |= {"start_mb": before // 1000, "peak_mb": peak // 1000}
    Path(folder, f"{which}.figures.json").write_text(json.dumps(figures))


def main() -> None:
    """Measure and print."""
    parser = new_parser(__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--vocab-size", type=int, default=100_000)
    parser.add_argument("--megabytes", type=float, default=math.inf, help="of text at most (default: all)")
    parser.add_argument("--cache", type=Path, help="a folder to keep the library's result in")
    parser.add_argument("--ours-only", action="store_true", help="without the library")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    size = sum(text_bytes(rows["text"]) for rows in tables_up_to(arguments.files, arguments.megabytes))
    print(f"{size / 1e6:.1f} MB of text, vocabulary {arguments.vocab_size:,}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.cache or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = {}
        for which in ("ours",) if arguments.ours_only else ("ours", "library"):
            rows[which] = measure(which, arguments, folder)
            print(which, json.dumps(rows[which]), flush=True)
        if "library" in rows:
            merges = [json.loads((folder / f"{which}.json").read_text())["model"]["merges"] for which in rows]
            ratio = rows["library"]["seconds"] / rows["ours"]["seconds"]
            memory = rows["ours"]["peak_mb"] / rows["library"]["peak_mb"]
            print(f"merges identical: {merges[0] == merges[1]} ({len(merges[0]):,})")
            print(f"{ratio:.1f} times as fast, {memory:.2f} of the memory")


if __name__ == "__main__":
    main()
