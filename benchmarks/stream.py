"""How fast the token stream reads warm shards, beside a plain shuffled copy out of a memory map and other loaders.

    python benchmarks/stream.py [--tokens 64] [--sequence-length 4096] [--batch 32] [--rounds 5] [--peers PYTHON]

All copy windows of the same tokens. The plain copy is the least that a shuffled reader can do: one array, one
permutation made beforehand and held in memory, one slice a sample, no mixture, no epochs, no checks. The stream mixes
three domains by weights, permutes block-wise, starts each epoch elsewhere and crosses shards; once with samples by
concatenation, once by best fit, once with the document numbers too, once through a DataLoader. Other loaders
(`--peers`, an environment with mosaicml-streaming, litdata and datatrove; Megatron's GPTDataset from this one) read
the tokens in their own format, shuffled, bare, one process. Rounds take turns with the plain copy, so that whatever
else the machine does hits both; medians are compared. Prints one JSON object.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from token_data import write_domain

from train.data.stream import TokenStream

SHARES = {"web": 0.7, "code": 0.2, "books": 0.1}
PEERS = ("mosaicml-streaming", "litdata", "datatrove")


def alternate(readers: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Median tokens a second of each reader, which reads once a round and says how many tokens; round 0 warms up."""
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(rounds + 1):
        for name, read in readers.items():
            start = time.perf_counter()
            tokens = read()
            if number:
                rates[name].append(tokens / (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in rates.items()}


def plain_copy(path: str, length: int, batch: int) -> Callable[[], int]:
    """The plain shuffled copy, a batch at a time."""
    plain = np.memmap(path, np.int32, "r")
    windows = (len(plain) - 1) // length
    order = np.random.default_rng(1).permutation(windows)

    def read() -> int:
        for first in range(0, windows // batch * batch, batch):
            out = np.empty((batch, length + 1), np.int32)
            for row, window in enumerate(order[first : first + batch]):
                out[row] = plain[window * length : (window + 1) * length + 1]
        return windows // batch * batch * length

    return read


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=64, help="millions of tokens (default: 64, a file of 256 MB)")
    parser.add_argument("--sequence-length", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", metavar="PYTHON", help="the interpreter of an environment with the other loaders")
    args = parser.parse_args()
    length, batch = args.sequence_length, args.batch
    with tempfile.TemporaryDirectory() as name:
        folders = {
            domain: write_domain(Path(name) / domain, int(args.tokens * 1e6 * share), seed)
            for seed, (domain, share) in enumerate(SHARES.items())
        }
        path = f"{name}/plain.bin"
        TokenStream(folders, sequence_length=length, weights=SHARES, seed=1).batch(0, batch)  # loads what is compiled
        tracemalloc.start()
        stream = TokenStream(folders, sequence_length=length, weights=SHARES, seed=1)
        stream.batch(0, batch)
        memory = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        with open(path, "wb") as file:
            for source in stream.sources:
                source.read(0, source.num_tokens).tofile(file)
        packed = TokenStream(folders, sequence_length=length, weights=SHARES, seed=1, packing="best_fit")
        samples = sum(source.num_tokens for source in stream.sources) // length // batch * batch

        def bare(of: TokenStream, documents: bool = False) -> Callable[[], int]:
            def read() -> int:
                for first in range(0, samples, batch):
                    of.batch(first, batch)
                    if documents:
                        of.documents(first, batch)
                return samples * length

            return read

        def loader() -> int:
            from train.data.dataset import TokenLoader

            stream.samples = 0
            for taken in TokenLoader(stream, batch_size=batch):
                assert len(taken["tokens"]) == batch
                if stream.samples >= samples:
                    break
            return samples * length

        readers = {
            "plain copy": plain_copy(path, length, batch),
            "stream": bare(stream),
            "stream, best fit": bare(packed),
            "stream, with documents": bare(stream, documents=True),
            "stream, in a DataLoader": loader,
        }
        rates = alternate(readers, args.rounds)
        results: dict[str, dict[str, float]] = {
            reader: {"tokens_per_second": round(rate), "of_the_plain_copy": round(rate / rates["plain copy"], 4)}
            for reader, rate in rates.items()
        }
        interpreters = dict.fromkeys(PEERS, args.peers) if args.peers else {}
        for peer, python in {**interpreters, "megatron": sys.executable}.items():
            script = str(Path(__file__).parent / "peer_loaders.py")
            options = [path, str(length), str(batch), str(args.rounds), f"{name}/{peer}"]
            done = subprocess.run([python, "-W", "ignore", script, peer, *options], capture_output=True, text=True)
            lines = done.stdout.splitlines()
            results[peer] = json.loads(lines[-1]) if done.returncode == 0 else {"failed": done.stderr[-500:]}  # type: ignore[dict-item]
    print(
        json.dumps({"sequence_length": length, "batch": batch, "bytes_held_by_the_stream": memory} | results, indent=1)
    )


if __name__ == "__main__":
    main()
