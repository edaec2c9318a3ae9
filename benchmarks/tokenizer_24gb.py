"""The paper's tokenizer at its size: 100,000 tokens trained on 24 GB of multilingual text, on one machine.

    python benchmarks/multilingual_text.py --data HEADWATER_DATA --out text        (400 MB of real text)
    python benchmarks/tokenizer_24gb.py text [--gigabytes 24] [--workers 2]

The steps and functions are those of the recipe's stages: pieces are counted part by part, in processes side by side;
the counts are added up by range of hash, and pieces that occur once are dropped; one process merges. Memory is bounded
by a part's distinct pieces, by a range's, and by what is left of all of them; the peak of each step is printed.

There are no 24 GB of text at hand, so the real text is repeated; nothing larger than the counts is stored. Plain
repetition would bring no new pieces. So from the second time on a share of its words and clauses appear as a variant.
Words are runs of four or more ASCII or Cyrillic letters, clauses of four or more ideographs: with some of their
letters replaced, by a hash of the word and of the variant's number. The number is drawn from a heavy tail, P(number >
x) = x^-0.46, so that some variants return often, most once. The distinct ones grow with a power of the text, as Heaps'
law has it for real text. How well the growth follows is printed: distinct pieces after each part, beside the power law
fitted to the real text alone.
"""

import argparse
import math
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from arguments import new_parser
from numba import njit

from corpus.io import storage, table
from corpus.io.buffers import utf8_buffers
from tokenizer.pretoken_counts import SCHEMA, PretokenCounter, hash_rows, merge_counts
from tokenizer.train import train
from tokenizer.vocabulary import Vocabulary

COUNTS = pa.schema([pa.field("hash", pa.uint64()), *SCHEMA])
SLICE = 64  # the growth of distinct pieces is followed on this fraction of all hashes
EXPONENT = 0.46  # n draws from such a tail bring n^(1 / (1 + EXPONENT)) numbers: the power of the real text's law
SHARE = 0.15  # with it the second repetition brings as many new pieces as the law asks for
_MIX = np.uint64(0xFF51AFD7ED558CCD)  # a constant of MurmurHash3's 64-bit finalizer


@njit(nogil=True)
def mix(value: Any) -> Any:
    """A well mixed uint64."""
    value = (value ^ (value >> np.uint64(33))) * _MIX
    value = (value ^ (value >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    return value ^ (value >> np.uint64(32))


@njit(nogil=True)
def width(data: npt.NDArray[np.uint8], at: int, end: int) -> int:
    """Bytes of the letter at `at`: 1 ASCII, 2 Cyrillic, 3 ideograph; 0: none of these."""
    lead = data[at]
    if 97 <= lead | 32 <= 122:
        return 1
    if (lead == 0xD0 or lead == 0xD1) and at + 2 <= end:
        return 2
    return 3 if 0xE4 <= lead <= 0xE8 and at + 3 <= end else 0


@njit(nogil=True)
def vary(data: npt.NDArray[np.uint8], end: int, seed: int, share: float, ideographs: npt.NDArray[np.uint8]) -> None:
    """Put variants, in place and of the same length, for a share of the words and clauses of `data[:end]` (UTF-8)."""
    at = np.int64(0)
    while at < end:
        size = width(data, at, end)
        if size == 0:
            at += 1
            continue
        first, word = at, np.uint64(size)
        while at < end and width(data, at, end) == size:
            for step in range(size):
                word = mix(word ^ np.uint64(data[at + step]))
            at += size
        letters = (at - first) // size
        chance = mix(np.uint64(seed) << np.uint64(40) ^ np.uint64(first))
        if letters < 4 or (chance >> np.uint64(11)) * 2.0**-53 >= share:
            continue
        number = min(1e9, ((mix(chance) >> np.uint64(11)) * 2.0**-53 + 1e-12) ** (-1 / EXPONENT))
        source = mix(word ^ mix(np.uint64(number)))
        for _ in range(1 + (number > 8) + (number > 64)):
            place = first + size * np.int64(source % np.uint64(letters))
            source = mix(source)
            if size == 1:
                data[place] = 97 + np.int64(source % np.uint64(26))
            elif size == 2:
                data[place], data[place + 1] = 0xD0, 0xB0 + np.int64(source & np.uint64(15))
            else:
                other = 3 * np.int64(source % np.uint64(ideographs.size // 3))
                data[place : place + 3] = ideographs[other : other + 3]
            source = mix(source)


def common_ideographs(texts: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """The bytes of the 2,000 most frequent ideographs of a text."""
    data, _ = utf8_buffers(texts)
    at = np.flatnonzero((data[:-2] >= 0xE4) & (data[:-2] <= 0xE8))
    codes, counts = np.unique(
        data[at].astype(np.int64) << 16 | data[at + 1].astype(np.int64) << 8 | data[at + 2], return_counts=True
    )
    chosen = codes[np.argsort(-counts, kind="stable")[:2000]]
    return np.stack([chosen >> 16, chosen >> 8 & 255, chosen & 255], axis=1).astype(np.uint8).ravel()


def count_part(files: list[str], out: str, number: int, share: float) -> dict[str, Any]:
    """Count the pieces of the text's repetition `number` (0: as it is); write them by hash."""
    start, size = time.perf_counter(), 0
    curve: list[tuple[int, int]] = []
    counter = PretokenCounter()
    ideographs = common_ideographs(table.read_table(files[0], ["text"])["text"])
    for file in files:
        data, offsets = utf8_buffers(table.read_table(file, ["text"])["text"])
        data = data.copy()
        if number:
            vary(data, int(offsets[-1]), number * 1000 + len(curve), share, ideographs)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        counter.add(pa.LargeStringArray.from_buffers(len(offsets) - 1, buffers[1], buffers[2]))
        size += int(offsets[-1])
        curve.append((size, counter.distinct))
    pieces = counter.result()
    rows = pieces.add_column(0, COUNTS.field("hash"), pa.array(hash_rows(*utf8_buffers(pieces["pretoken"]))))
    with table.ShardWriter(out, COUNTS) as writer:
        for first in range(0, len(rows), 1 << 16):
            writer.write(rows.slice(first, 1 << 16))
    return {"bytes": size, "pieces": len(pieces), "curve": curve, "seconds": time.perf_counter() - start, **peak()}


def read_range(file: str, part: int, parts: int) -> pa.Table:
    """The counts of one of `parts` ranges of hashes."""
    first, last = (part << 64) // parts, ((part + 1) << 64) // parts - 1
    return table.read_between(file, "hash", first, last, SCHEMA.names)


def merge_range(files: list[str], out: str, part: int, parts: int, min_count: int) -> dict[str, Any]:
    """Add up a range of hashes over all parts and drop what is rarer than `min_count`."""
    whole = merge_counts(read_range(file, part, parts) for file in files)
    kept = whole.filter(pa.compute.greater_equal(whole["count"], min_count))
    with table.ShardWriter(out, SCHEMA) as writer:
        writer.write(kept)
    return {"pieces": len(whole), "kept": len(kept), **peak()}


def merge_all(files: list[str], vocab_size: int, out: str) -> dict[str, Any]:
    """Train on what is left, on one core."""
    start = time.perf_counter()
    merges = train(pa.concat_tables([table.read_table(file) for file in files]), vocab_size)
    Vocabulary.from_merges(merges).save(out)
    return {"merges": len(merges.made), "seconds": time.perf_counter() - start, **peak()}


def peak() -> dict[str, int]:
    """The most memory that this process has held, in MB."""
    return {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000}


def heaps(curve: list[tuple[int, int]]) -> tuple[float, float]:
    """(K, b) of distinct = K * bytes^b, fitted to the later half of a curve."""
    later = curve[len(curve) // 2 :]
    slope, height = np.polyfit([math.log(size) for size, _ in later], [math.log(count) for _, count in later], 1)
    return math.exp(height), float(slope)


def main() -> None:
    """Count, add up, merge; print time, memory and growth."""
    parser = new_parser(__doc__)
    parser.add_argument("text", help="the folder that multilingual_text.py wrote")
    parser.add_argument("--gigabytes", type=float, default=24)
    parser.add_argument("--vocab-size", type=int, default=100_000)
    parser.add_argument("--share", type=float, default=SHARE, help=f"of words that are varied (default: {SHARE})")
    parser.add_argument("--min-count", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", help="a folder for the counts and the tokenizer (default: temporary)")
    arguments = parser.parse_args()
    files = storage.expand(arguments.text)
    with tempfile.TemporaryDirectory() as temporary:
        run(arguments, files, arguments.out or temporary)


def run(arguments: argparse.Namespace, files: list[str], out: str) -> None:
    """The steps, each with what it took."""
    begin = time.perf_counter()
    pool = ProcessPoolExecutor(arguments.workers, get_context("spawn"))
    counted, curve, seen = [], [], PretokenCounter()
    done, parts = 0, []
    first = pool.submit(count_part, files, f"{out}/part-00000.parquet", 0, 0.0).result()
    number = math.ceil(arguments.gigabytes * 1e9 / first["bytes"])
    jobs = [
        pool.submit(count_part, files, f"{out}/part-{part:05d}.parquet", part, arguments.share)
        for part in range(1, number)
    ]
    law, exponent = heaps(first["curve"])
    print(f"real text: {first['bytes'] / 1e9:.3f} GB, {first['pieces']:,} distinct pieces, growing as n^{exponent:.3f}")
    for part in range(number):
        counted.append(first if part == 0 else jobs[part - 1].result())
        parts.append(f"{out}/part-{part:05d}.parquet")
        done += counted[-1]["bytes"]
        seen.add_counts(read_range(parts[-1], 0, SLICE))
        curve.append((done, seen.distinct * SLICE))
        if part & (part + 1) == 0 or part == number - 1:
            expected = law * done**exponent / 1e6
            print(f"{done / 1e9:7.2f} GB: {curve[-1][1] / 1e6:6.2f}M distinct, by the law {expected:6.2f}M", flush=True)
    print(f"the whole grew as n^{heaps(curve)[1]:.3f}")
    report("counting", begin, counted, arguments.workers, done)
    start = time.perf_counter()
    ranges = [f"{out}/range-{part:05d}.parquet" for part in range(arguments.partitions)]
    jobs = [
        pool.submit(merge_range, parts, path, part, arguments.partitions, arguments.min_count)
        for part, path in enumerate(ranges)
    ]
    merged = [job.result() for job in jobs]
    report("adding up", start, merged, arguments.workers, done)
    whole, kept = sum(row["pieces"] for row in merged), sum(row["kept"] for row in merged)
    print(f"{whole:,} distinct pieces, {kept:,} of them at least {arguments.min_count} times")
    pool.shutdown()
    start = time.perf_counter()
    with ProcessPoolExecutor(1, get_context("spawn")) as single:
        trained = single.submit(merge_all, ranges, arguments.vocab_size, f"{out}/tokenizer.json").result()
    report("merging", start, [trained], 1, done)
    print(f"{trained['merges']:,} merges; {time.perf_counter() - begin:.0f} s in all for {done / 1e9:.2f} GB")


def report(step: str, start: float, rows: list[dict[str, Any]], workers: int, done: int) -> None:
    """A line for a step."""
    seconds, memory = time.perf_counter() - start, max(row["peak_mb"] for row in rows)
    print(
        f"{step:10} {seconds:7.1f} s, {done / 1e6 / seconds:7.1f} MB/s; peak {memory:,} MB in each of {workers}",
        flush=True,
    )


if __name__ == "__main__":
    main()
