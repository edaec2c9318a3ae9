"""Speed of signatures on one core, all text processing included: ours, and with --peers datasketch, rensa, datatrove.

usage: python benchmarks/signatures.py FILES.jsonl[.zst]... [--peers PYTHON] [--repeat 3]
The same documents and the same number of minima for all; peers read the documents from memory too, and take as many of
them as they can do in about ten seconds. Times are of the process, best of the repetitions. The limits are measured in
the same run: decoding the Parquet column, and reading the bytes once.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from backports import zstd
from limits import best, decoding, permuting, scanning
from numba import njit

from corpus.buffers import utf8_buffers
from corpus.dedup.minhash import Scheme, sign
from corpus.dedup.shingles import shingle_hashes, slots_for, sorted_unique
from corpus.segment import new_scratch, split_words

BATCH = 1000  # documents signed together, as a row group is


def read(paths: list[str]) -> list[str]:
    """The texts of JSONL files, compressed or not."""
    texts: list[str] = []
    for path in paths:
        opener = zstd.open if path.endswith(".zst") else open
        with opener(path, "rt", encoding="utf-8") as file:
            texts += [json.loads(line)["text"] for line in file.read().split("\n") if line]
    return texts


@njit(nogil=True)
def _stages(data, offsets, scratch, hashes, unique, slots, last):  # type: ignore[no-untyped-def]
    """Words (0), and shingles (1), and their sorted set (2), of every document."""
    total = 0
    for row in range(len(offsets) - 1):
        count = split_words(data, offsets[row], offsets[row + 1], scratch)
        if last >= 1:
            count = shingle_hashes(scratch.hashes, count, 5, hashes)
        if last >= 2:
            count = sorted_unique(hashes, count, slots, unique)
        total += count
    return total


def main() -> None:
    """Print MB/s of each step, each limit and each peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    texts = read(arguments.files)
    column = pa.array(texts, pa.large_string())
    data, offsets = utf8_buffers(column)
    size = float(offsets[-1]) / 1e6
    print(f"{len(texts)} documents, {size:.1f} MB, {size * 1e3 / len(texts):.1f} kB each")

    def show(name: str, seconds: float) -> None:
        print(f"  {name:42} {size / seconds:9.1f} MB/s {len(texts) / seconds:12,.0f} documents/s")

    longest = int(np.diff(offsets).max())
    scratch, hashes = new_scratch(longest), np.empty(longest + 64, np.uint32)
    unique, slots = hashes.copy(), np.empty(slots_for(longest), np.int32)
    for last, name in enumerate(("words", "words, shingles", "words, shingles, sorted set")):
        show(
            name,
            best(lambda last=last: _stages(data, offsets, scratch, hashes, unique, slots, last), arguments.repeat),
        )
    scheme = Scheme()
    batches = [column.slice(at, BATCH) for at in range(0, len(column), BATCH)]
    show("signatures, whole", best(lambda: [sign(batch, scheme) for batch in batches], arguments.repeat))
    shingles = sum(int(sign(batch, scheme).shingles.sum()) for batch in batches)
    show("limit: the ports that multiply, AVX2", permuting(shingles, scheme.bands * scheme.rows))
    show("limit: add up the bytes", scanning(pa.chunked_array([column])))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/text.parquet"
        pq.write_table(pa.table({"text": column}), path, compression="zstd", compression_level=1)
        show("limit: decode the zstd Parquet column", decoding(path))
        if arguments.peers:
            source = Path(folder, "texts.json")
            source.write_text(json.dumps(texts))
            script = Path(__file__).parent / "peer_signatures.py"
            minima = str(scheme.bands * scheme.rows)
            subprocess.run([arguments.peers, script, source, minima], check=True, stdout=sys.stdout)


if __name__ == "__main__":
    main()
