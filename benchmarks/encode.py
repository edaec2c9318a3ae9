"""Encoding: Headwater beside the library's `encode_batch`, one thread each, the same text and tokenizer, one run.

    TOKENIZERS_PARALLELISM=false python benchmarks/encode.py FILES... --tokenizer tokenizer.json [--megabytes 20]

Prints a line a file: MB/s of each (CPU time, this process), the ratio, and whether all ids are equal. `cold` is a new
encoder that has seen nothing; `warm` has seen the file once.
"""

import argparse
import os
import time
from itertools import pairwise

import pyarrow as pa

from corpus import storage
from pipelines.commands.inputs import Inputs
from tokenizer.encode import Encoder
from tokenizer.vocabulary import load_vocabulary

os.environ["TOKENIZERS_PARALLELISM"] = "false"


def read(file: str, limit: int) -> list[str]:
    """The texts of a file, up to `limit` bytes."""
    texts, size = [], 0
    for batch in Inputs([file]).batches():
        for text in batch["text"].to_pylist():
            texts.append(text)
            size += len(text.encode())
            if size >= limit:
                return texts
    return texts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--megabytes", type=int, default=20)
    arguments = parser.parse_args()
    vocabulary = load_vocabulary(arguments.tokenizer)
    library = vocabulary.build_tokenizer()
    library.encode_special_tokens = True
    Encoder(vocabulary).encode("compile é 中")
    print(f"{'file':40} {'cold':>8} {'warm':>8} {'library':>8} {'ratio':>6}  equal")
    for file in [file for pattern in arguments.files for file in storage.expand(pattern)]:
        texts = read(file, arguments.megabytes * 1_000_000)
        size = sum(len(text.encode()) for text in texts) / 1e6
        column = pa.array(texts, pa.large_string())
        encoder = Encoder(vocabulary, eos=False)
        times = [time.process_time()]
        for _ in range(2):
            tokens, lengths = encoder.encode_column(column)
            times.append(time.process_time())
        expected = library.encode_batch(texts, add_special_tokens=False)
        times.append(time.process_time())
        cold, warm, theirs = (size / (after - before) for before, after in pairwise(times))
        equal = lengths.tolist() == [len(item.ids) for item in expected] and tokens.tolist() == [
            token for item in expected for token in item.ids
        ]
        print(f"{file[-40:]:40} {cold:8.1f} {warm:8.1f} {theirs:8.2f} {cold / theirs:6.1f}  {equal}", flush=True)


if __name__ == "__main__":
    main()
