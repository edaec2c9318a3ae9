"""How fast the token stream reads warm shards, beside a plain shuffled copy out of a memory map, in one run.

    python benchmarks/stream.py [--tokens 64] [--sequence-length 4096] [--batch 32] [--rounds 5]

Both copy windows of the same shards into batches of int32. The plain copy is the least that a shuffled reader can do:
one array, one permutation made beforehand and held in memory, one slice a sample, no mixture, no epochs, no checks. The
stream mixes three domains by weights, permutes block-wise, starts each epoch elsewhere and crosses shards. Rounds take
turns, so that whatever else the machine does hits both; the medians are compared. Prints one JSON object.
"""

import argparse
import json
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xxhash

from corpus import storage
from tokenizer.shard_format import build_index
from train.stream import TokenStream

SHARES = {"web": 0.7, "code": 0.2, "books": 0.1}
SHARD_TOKENS = 1 << 22
DOCUMENT_TOKENS = 1000


def write_domain(folder: Path, tokens: int, seed: int) -> str:
    """Random tokens in shards of 16 MiB."""
    generator = np.random.default_rng(seed)
    entries, files = [], {}
    for number, start in enumerate(range(0, tokens, SHARD_TOKENS)):
        count = min(SHARD_TOKENS, tokens - start) // DOCUMENT_TOKENS * DOCUMENT_TOKENS
        data = generator.integers(0, 100_000, count, np.int32).tobytes()
        index = build_index(np.full(count // DOCUMENT_TOKENS, DOCUMENT_TOKENS, np.int32))
        name = f"{number:05d}"
        for suffix, content in (("bin", data), ("idx", index)):
            storage.write_bytes(str(folder / f"{name}.{suffix}"), content)
            files[f"{name}.{suffix}"] = {"bytes": len(content), "xxh3": xxhash.xxh3_128_hexdigest(content)}
        entries.append({"name": name, "tokens": count, "documents": count // DOCUMENT_TOKENS, "bytes": 4 * count})
    manifest = {
        "format": "headwater-tokens/1",
        "dtype": "int32",
        "tokenizer_hash": "none",
        "vocab_size": 100_000,
        "model_vocab_size": 102_400,
        "shards": entries,
        "files": files,
    }
    storage.write_json(str(folder / "manifest.json"), manifest)
    return str(folder)


def rate(read: Callable[[int], np.ndarray], samples: int, batch: int, length: int) -> float:
    """Tokens a second of reading `samples` samples in batches."""
    start = time.perf_counter()
    for first in range(0, samples, batch):
        read(first)
    return samples * length / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=64, help="millions of tokens (default: 64, a file of 256 MB)")
    parser.add_argument("--sequence-length", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    length, batch = args.sequence_length, args.batch
    with tempfile.TemporaryDirectory() as name:
        folders = {
            domain: write_domain(Path(name) / domain, int(args.tokens * 1e6 * share), seed)
            for seed, (domain, share) in enumerate(SHARES.items())
        }
        start = time.perf_counter()
        stream = TokenStream(folders, sequence_length=length, weights=SHARES, seed=1)
        stream.batch(0, batch)
        first_batch_cold = time.perf_counter() - start  # with the compiled code loaded from numba's cache
        tracemalloc.start()
        start = time.perf_counter()
        stream = TokenStream(folders, sequence_length=length, weights=SHARES, seed=1)
        stream.batch(0, batch)
        first_batch = time.perf_counter() - start
        memory = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()

        whole = np.concatenate(
            [np.asarray(s.tokens(i)) for s in (x.shards for x in stream.sources) for i in range(len(s.shards))]
        )
        plain_path = Path(name) / "plain.bin"
        whole.tofile(plain_path)
        plain = np.memmap(plain_path, np.int32, "r")
        windows = (len(plain) - 1) // length
        order = np.random.default_rng(1).permutation(windows)
        samples = windows // batch * batch

        def copy(first: int) -> np.ndarray:
            out = np.empty((batch, length + 1), np.int32)
            for row, window in enumerate(order[first : first + batch]):
                out[row] = plain[window * length : (window + 1) * length + 1]
            return out

        def streamed(first: int) -> np.ndarray:
            return stream.batch(first, batch)

        readers = {"plain": copy, "stream": streamed}
        rates: dict[str, list[float]] = {reader: [] for reader in readers}
        for round_number in range(args.rounds + 1):
            for reader, read in readers.items():
                measured = rate(read, samples, batch, length)
                if round_number:  # the first brings the pages in
                    rates[reader].append(measured)
    medians = {reader: statistics.median(values) for reader, values in rates.items()}
    print(
        json.dumps(
            {
                "sequence_length": length,
                "batch": batch,
                "tokens_read_per_round": samples * length,
                "plain_tokens_per_second": round(medians["plain"]),
                "stream_tokens_per_second": round(medians["stream"]),
                "stream_over_plain": round(medians["stream"] / medians["plain"], 3),
                "seconds_to_first_batch_in_a_new_process": round(first_batch_cold, 3),
                "seconds_to_first_batch_when_compiled": round(first_batch, 3),
                "bytes_held_by_the_stream": memory,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
