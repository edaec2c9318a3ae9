"""Speed of signatures on one core, all text processing included: ours, and with --peers datasketch, rensa, datatrove.

usage: python benchmarks/signatures.py FILES.jsonl[.zst]... [--peers PYTHON] [--rounds 5] [--seconds 3] [--repeat 3]
Times are of the process. Steps and limits are the best of the repetitions. A peer is compared in rounds: ours signs
the documents for a second, the peer as many of them as it can in --seconds. Also from memory and with as many minima
(datatrove with its default of 112). Then the next peer so. They are shuffled, so that the first are like all. What
else the machine does slows both alike, and the median of the rounds' ratios is what counts.
"""

import argparse
import random
import tempfile
from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from arguments import add_documents, add_peers, new_parser
from documents import json_rows
from machine_limits import VECTORS, decoding, permuting, scanning
from numba import njit
from peer_process import Peer, left_out_if_missing
from timing import best, bytes_per_second

from corpus.dedup.minhash import Scheme, sign
from corpus.dedup.shingles import shingle_hashes, slots_for, sorted_unique
from corpus.io.buffers import utf8_buffers
from corpus.kernels.words import new_scratch, split_words

BATCH = 1000  # documents signed together, as a row group is


@njit(nogil=True)
def _stages(data, offsets, scratch, hashes, unique, slots, work, last):  # type: ignore[no-untyped-def]
    """Words (0), and shingles (1), and their sorted set (2), of every document."""
    total = 0
    for row in range(len(offsets) - 1):
        count = split_words(data, offsets[row], offsets[row + 1], scratch)
        if last >= 1:
            count = shingle_hashes(scratch.hashes, count, 5, hashes)
        if last >= 2:
            count = sorted_unique(hashes, count, slots, work, unique)
        total += count
    return total


def compare(texts: list[str], minima: int, ours: Callable[[], float], arguments: argparse.Namespace) -> None:
    """Print how fast each peer is beside ours: medians of the rounds, and the range of the ratios."""
    measured: dict[str, list[tuple[float, float, float]]] = {}
    with Peer(arguments.peers, "peer_signatures.py", texts, str(minima), str(arguments.seconds)) as peer:
        for _ in range(arguments.rounds):
            for name in peer.greeting:
                mine = ours()
                measured.setdefault(name, []).append((mine, *peer.ask(name)))
    for name, figures in measured.items():
        mine, theirs, documents = np.median(figures, axis=0)
        ratios = [mine / theirs for mine, theirs, _ in figures]
        print(
            f"  {name:42} {theirs / 1e6:9.2f} MB/s {documents:12,.0f} documents/s; ours beside it {mine / 1e6:.1f} MB/s"
        )
        print(f"  {'ratio to ' + name:42} {np.median(ratios):9.1f}    ({min(ratios):.1f} to {max(ratios):.1f})")


def main() -> None:
    """Print MB/s of each step, each limit and each peer."""
    parser = new_parser(__doc__)
    parser.add_argument("files", nargs="+")
    add_peers(parser, "datasketch, rensa, datatrove")
    add_documents(parser, "documents of each file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    texts = [row["text"] for file in arguments.files for row in json_rows(file, arguments.documents)]
    random.Random(1).shuffle(texts)
    column = pa.array(texts, pa.large_string())
    data, offsets = utf8_buffers(column)
    size = float(offsets[-1]) / 1e6
    print(f"{len(texts)} documents, {size:.1f} MB, {size * 1e3 / len(texts):.1f} kB each")

    def show(name: str, seconds: float) -> None:
        print(f"  {name:42} {size / seconds:9.1f} MB/s {len(texts) / seconds:12,.0f} documents/s")

    longest = int(np.diff(offsets).max())
    scratch, hashes = new_scratch(longest), np.empty(longest + 64, np.uint32)
    unique, work, slots = hashes.copy(), hashes.copy(), np.empty(slots_for(longest), np.int32)
    for last, name in enumerate(("words", "words, shingles", "words, shingles, sorted set")):
        stages = partial(_stages, data, offsets, scratch, hashes, unique, slots, work, last)
        show(name, best(stages, arguments.repeat))
    scheme = Scheme()
    batches = [column.slice(at, BATCH) for at in range(0, len(column), BATCH)]

    def sign_all() -> None:
        for batch in batches:
            sign(batch, scheme)

    show("signatures, whole", best(sign_all, arguments.repeat))
    shingles = sum(int(sign(batch, scheme).shingles.sum()) for batch in batches)
    show(f"limit: the ports for vectors, {VECTORS}", permuting(shingles, scheme.bands * scheme.rows))
    show("limit: add up the bytes", scanning(pa.chunked_array([column])))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/text.parquet"
        pq.write_table(pa.table({"text": column}), path, compression="zstd", compression_level=1)
        show("limit: decode the zstd Parquet column", decoding(path))
    if arguments.peers:
        with left_out_if_missing("peers"):
            compare(texts, scheme.bands * scheme.rows, lambda: bytes_per_second(sign_all, size * 1e6), arguments)


if __name__ == "__main__":
    main()
