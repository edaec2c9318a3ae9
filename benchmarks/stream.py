"""How fast the token stream reads warm shards, beside a plain shuffled copy out of a memory map and other loaders.

    python benchmarks/stream.py [--tokens 64] [--sequence-length 4096] [--batch 32] [--rounds 5] [--peers PYTHON]

All copy windows of the same tokens. The plain copy is the least that a shuffled reader can do: one array, one
permutation made beforehand and held in memory, one slice a sample, no mixture, no epochs, no checks. The stream mixes
three domains by weights, permutes block-wise, starts each epoch elsewhere and crosses shards. Once with samples by
concatenation, once by best fit, once with the document numbers too, once through a DataLoader. Other loaders
(`--peers`, an environment with mosaicml-streaming, litdata and datatrove; Megatron's GPTDataset from this one) read
the tokens in their own format, shuffled, bare, one process. Rounds take turns with the plain copy, so that whatever
else the machine does hits both; medians are compared. Prints one JSON object.
"""

import json
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from arguments import add_peers, new_parser
from peer_loaders import plain_copy
from peer_process import left_out_if_missing, run_peer
from timing import in_turns, medians, per_wall_second
from token_shards import write_domain

from train.data.stream import TokenStream

SHARES = {"web": 0.7, "code": 0.2, "books": 0.1}
PEERS = ("mosaicml-streaming", "litdata", "datatrove")


def main() -> None:
    """Measure and print."""
    parser = new_parser(__doc__)
    parser.add_argument("--tokens", type=float, default=64, help="millions of tokens (default: 64, a file of 256 MB)")
    parser.add_argument("--sequence-length", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    add_peers(parser, ", ".join(PEERS))
    parser.add_argument("--ours-only", action="store_true", help="without Megatron's GPTDataset")
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
        measures = {reader: per_wall_second(read) for reader, read in readers.items()}
        rates = medians(in_turns(measures, args.rounds))
        results: dict[str, dict[str, float]] = {
            reader: {"tokens_per_second": round(rate), "of_the_plain_copy": round(rate / rates["plain copy"], 4)}
            for reader, rate in rates.items()
        }
        interpreters = dict.fromkeys(PEERS, args.peers) if args.peers else {}
        interpreters |= {} if args.ours_only else {"megatron": sys.executable}
        for peer, python in interpreters.items():
            with left_out_if_missing(peer):
                options = [path, length, batch, args.rounds, f"{name}/{peer}"]
                results[peer] = run_peer(python, "peer_loaders.py", peer, *options)
    print(
        json.dumps({"sequence_length": length, "batch": batch, "bytes_held_by_the_stream": memory} | results, indent=1)
    )


if __name__ == "__main__":
    main()
