"""Training a byte-level BPE: Headwater beside the `tokenizers` library: same text, pre-tokenizer, sizes; one run.

    python benchmarks/tokenizer_train.py FILES... --vocab-size 32000 [--megabytes 100] [--without-library]

Each runs in a process of its own, so that its peak memory is its own; the merges are then compared one by one.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus import storage
from pipelines.commands.inputs import Inputs
from tokenizer.alphabet import ALPHABET, SYMBOLS


def read(files: list[str], limit: int) -> list[str]:
    """The texts of the files, up to `limit` bytes."""
    texts, size = [], 0
    for batch in Inputs([file for pattern in files for file in storage.expand(pattern)]).batches():
        for text in batch["text"].to_pylist():
            texts.append(text)
            size += len(text.encode())
            if size >= limit:
                return texts
    return texts


def ours(texts: list[str], vocab_size: int, out: str) -> dict[str, float]:
    """Count and merge; the time to compile the kernels, which is spent once on a machine, is kept apart."""
    from tokenizer.counts import PieceCounter
    from tokenizer.train import train
    from tokenizer.vocabulary import Vocabulary

    start = time.perf_counter()
    warm = PieceCounter()
    warm.add(pa.array(["warm up é 中"]))
    train(warm.result(), 250)
    compiled = time.perf_counter()
    counter = PieceCounter()
    for first in range(0, len(texts), 1000):
        counter.add(pa.array(texts[first : first + 1000], pa.large_string()))
    counts = counter.result()
    counted = time.perf_counter()
    merges = train(counts, vocab_size)
    merged = time.perf_counter()
    Vocabulary.from_merges(merges).save(out)
    return {
        "seconds": merged - compiled,
        "counting": counted - compiled,
        "merging": merged - counted,
        "compiling": compiled - start,
        "pieces": len(counts),
    }


def library(texts: list[str], vocab_size: int, out: str) -> dict[str, float]:
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
    tokenizer.train_from_iterator(texts, trainer)
    seconds = time.perf_counter() - start
    tokenizer.save(out)
    return {"seconds": seconds}


def measure(which: str, arguments: argparse.Namespace, out: str) -> dict[str, Any]:
    """Run one of the two in a process of its own."""
    options = ["--vocab-size", str(arguments.vocab_size), "--megabytes", str(arguments.megabytes)]
    command = [sys.executable, __file__, *arguments.files, *options, "--worker", which, out]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": "."})
    value: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return value


def work(arguments: argparse.Namespace) -> None:
    """What the process does: read, train, print the figures."""
    which, out = arguments.worker
    texts = read(arguments.files, arguments.megabytes * 1_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures: dict[str, Any] = {"ours": ours, "library": library}[which](texts, arguments.vocab_size, out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = sum(len(text.encode()) for text in texts)
    print(json.dumps(figures | {"bytes": size, "text_mb": before // 1000, "peak_mb": peak // 1000}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--vocab-size", type=int, default=32_000)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--without-library", action="store_true")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = {}
        for which in ("ours",) if arguments.without_library else ("ours", "library"):
            rows[which] = measure(which, arguments, str(Path(folder) / f"{which}.json"))
            print(which, json.dumps(rows[which]), flush=True)
        if "library" in rows:
            merges = [json.loads((Path(folder) / f"{which}.json").read_text())["model"]["merges"] for which in rows]
            ratio = rows["library"]["seconds"] / rows["ours"]["seconds"]
            print(f"merges identical: {merges[0] == merges[1]} ({len(merges[0]):,}); {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
