"""How fast the checkout on PYTHONPATH is on its hottest paths; asked by benchmarks/compare_checkouts.py.

    echo '"signals, English"' | PYTHONPATH=CHECKOUT python benchmarks/kernel_speeds.py FOLDER [--seconds 1]

FOLDER holds en.parquet and zh.parquet (a column `text`), tokenizer.json, and token folders web, code and books. Each
path is done once before it is measured. Modules are looked for under all names that they have had. Prints a JSON line,
the folder that the code was imported from. Then, for each name of a path on standard input, one JSON per line, its
bytes per second of process time.
"""

import importlib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from arguments import new_parser
from timing import bytes_per_second

BATCH = 1000  # documents signed together, as a row group is
WEIGHTS = {"web": 0.7, "code": 0.2, "books": 0.1}
SEQUENCE_LENGTH, SAMPLES = 4096, 32  # of a batch of the stream
Work = tuple[Callable[[], object], float]  # what is measured, and the bytes it handles


def first_module(*names: str) -> Any:
    """The first of these modules that there is."""
    for name in names[:-1]:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    return importlib.import_module(names[-1])


def texts_of(folder: Path, language: str) -> tuple[pa.ChunkedArray, int]:
    """The texts of a language and their bytes of UTF-8."""
    texts = pq.read_table(folder / f"{language}.parquet", partitioning=None)["text"].cast(pa.large_string())
    return texts, int(pa.compute.sum(pa.compute.binary_length(texts)).as_py())


def signatures(folder: Path, language: str) -> Work:
    """Text to MinHash signatures, a row group at a time."""
    minhash = first_module("corpus.dedup.minhash")
    texts, size = texts_of(folder, language)
    batches = [texts.slice(first, BATCH) for first in range(0, len(texts), BATCH)]
    return lambda: [minhash.sign(batch, minhash.Scheme()) for batch in batches], size


def signals(folder: Path, language: str) -> Work:
    """Every linguistic signal of each text."""
    measure = first_module("corpus.linguistic.measure").measure
    texts, size = texts_of(folder, language)
    return lambda: measure(texts), size


def encoding(folder: Path, language: str, new: bool) -> Work:
    """Text to tokens, by a new encoder each time or by one that has seen the text."""
    vocabulary = first_module("tokenizer.vocabulary").load_vocabulary(str(folder / "tokenizer.json"))
    make = partial(first_module("tokenizer.encode").Encoder, vocabulary)
    kept = make()
    texts, size = texts_of(folder, language)
    return lambda: (make() if new else kept).encode_column(texts), size


def stream(folder: Path) -> Work:
    """An epoch of shuffled batches of three domains."""
    module = first_module("train.data.stream", "train.stream")
    folders = {name: str(folder / name) for name in WEIGHTS}
    opened = module.TokenStream(folders, weights=WEIGHTS, sequence_length=SEQUENCE_LENGTH, seed=1)
    tokens = sum(source.num_tokens for source in opened.sources)
    batches = max(1, tokens // SEQUENCE_LENGTH // SAMPLES)

    def read() -> None:
        for number in range(batches):
            opened.batch(number * SAMPLES, SAMPLES)

    return read, 4.0 * batches * SAMPLES * SEQUENCE_LENGTH


PATHS: dict[str, Callable[[Path], Work]] = {
    "signatures, English": lambda folder: signatures(folder, "en"),
    "signatures, Chinese": lambda folder: signatures(folder, "zh"),
    "signals, English": lambda folder: signals(folder, "en"),
    "signals, Chinese": lambda folder: signals(folder, "zh"),
    "encoding, English, new encoder": lambda folder: encoding(folder, "en", True),
    "encoding, English, again": lambda folder: encoding(folder, "en", False),
    "encoding, Chinese, new encoder": lambda folder: encoding(folder, "zh", True),
    "encoding, Chinese, again": lambda folder: encoding(folder, "zh", False),
    "stream": stream,
}


def main() -> None:
    """Measure what is asked for, until the input ends."""
    parser = new_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=1.0, help="that a path is done again and again (default: 1)")
    arguments = parser.parse_args()
    corpus = importlib.import_module("corpus")
    print(json.dumps(str(Path(str(corpus.__file__)).resolve().parents[1])), flush=True)
    for line in sys.stdin:
        work, size = PATHS[json.loads(line)](arguments.folder)
        work()
        print(json.dumps(bytes_per_second(work, size, arguments.seconds)), flush=True)


if __name__ == "__main__":
    main()
