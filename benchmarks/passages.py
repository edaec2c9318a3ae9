"""Repeated passages beside google-research/deduplicate-text-datasets, on the same documents.

    python benchmarks/passages.py FILES... [--words 50] [--megabytes 8] [--peer PATH/dedup_dataset] [--runs 3]

Ours: Arrow text to spans, both readings, one core. The peer (its Rust program, built with `cargo build --release`):
suffix array, self-similar, collect, one thread, on the documents joined in one file. Two comparisons:

- output: both are given the same words; which words lie in a run of `--words` that stands in two places must be equal.
  For the peer a word is four bytes, of which only the first has its high bit set, so that no match begins inside one.
- speed: the peer on the text's bytes, with the length in bytes that so many words have on average.
"""

import resource
import statistics
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from arguments import new_parser
from documents import tables_up_to, text_bytes
from peer_process import PeerMissing, left_out_if_missing

from corpus.io.buffers import utf8_buffers
from corpus.kernels.words import new_scratch, split_words
from corpus.passages.cuts import Limits
from corpus.passages.in_memory import repeated_passages
from corpus.passages.ngrams import minimizer_keys, minimizer_set, ngram_keys
from corpus.passages.tally import Tally
from corpus.spans import cut_lengths


def words_of_documents(text: pa.ChunkedArray) -> list[np.ndarray]:
    """The hashes of the words of each document."""
    data, offsets = utf8_buffers(text)
    scratch = new_scratch(int(np.diff(offsets).max(initial=0)))
    return [scratch.hashes[: split_words(data, first, last, scratch)].copy() for first, last in pairwise(offsets)]


def ours_in_two_places(text: pa.ChunkedArray, counts: list[int], size: int) -> np.ndarray:
    """Of every word of all documents, whether it lies in a window that is in two places: bool[words]."""
    anchors = minimizer_keys(text, size)
    tally = Tally()
    tally.add(anchors)
    windows = ngram_keys(text, size, minimizer_set(np.unique(anchors[tally.of(anchors)[0] > 1])))
    tally = Tally()
    tally.add(windows.keys)
    twice = tally.of(windows.keys)[0] > 1
    first = np.concatenate([[0], np.cumsum(counts)])
    return covered(first[windows.rows[twice]] + windows.words[twice], size, int(first[-1]))


def covered(starts: np.ndarray, size: int, total: int) -> np.ndarray:
    """Which of `total` words lie in one of the windows that begin at `starts`."""
    change = np.zeros(total + 1, np.int64)
    np.add.at(change, starts, 1)
    np.add.at(change, starts + size, -1)
    return np.cumsum(change[:-1]) > 0


def peer_run(program: str, path: Path, length: int) -> float:
    """Suffix array, repeats and ranges of a file; the seconds of all three."""
    cache = path.parent / "cache"
    start = time.perf_counter()
    for command in (
        ["make", "--data-file", str(path)],
        ["self-similar", "--data-file", str(path), "--length-threshold", str(length), "--cache-dir", str(cache)],
        ["collect", "--data-file", str(path), "--length-threshold", str(length), "--cache-dir", str(cache)],
    ):
        one_thread = ["--num-threads", "1"] if command[0] == "self-similar" else []
        try:
            done = subprocess.run([program, *command, *one_thread], capture_output=True, text=True)
        except OSError as error:
            raise PeerMissing(f"{program}: {error.strerror}") from None
        if done.returncode:
            raise PeerMissing(f"{' '.join(command)}: {done.stderr}")
    return time.perf_counter() - start


def peer_in_two_places(program: str, documents: list[np.ndarray], size: int) -> np.ndarray:
    """The same as `ours_in_two_places`, of the peer."""
    every = np.concatenate(documents)
    distinct, numbers = np.unique(every, return_inverse=True)
    ends = np.cumsum([len(words) for words in documents])
    numbers = np.insert(numbers.astype(np.uint64), ends, len(distinct) + np.arange(len(ends), dtype=np.uint64))
    shifts = np.array([0, 7, 14, 21], np.uint64)
    raw = ((numbers[:, None] >> shifts) & np.uint64(0x7F)).astype(np.uint8)
    raw[:, 0] |= 0x80
    is_word = np.insert(np.ones(len(every), bool), ends, False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words"
        path.write_bytes(raw.tobytes())
        peer_run(program, path, 4 * size)
        width = -(-int(np.ceil(np.log2(raw.size))) // 8)
        found = [np.zeros(0, np.int64)]
        for part in sorted((Path(folder) / "cache").glob("dups_*")):
            pointers = np.frombuffer(part.read_bytes(), np.uint8).reshape(-1, width).astype(np.int64)
            found.append((pointers << np.arange(0, 8 * width, 8)).sum(axis=1))
    starts = np.concatenate(found)
    starts = starts[starts % 4 == 0] // 4
    return covered(starts, size, len(numbers))[is_word]


def compare(program: str, texts: pa.ChunkedArray, documents: list[np.ndarray], size: int, ours: float) -> None:
    """Print the peer's speed beside our seconds, and on how many words both differ."""
    counts, total = [len(words) for words in documents], text_bytes(texts)
    length = round(size * total / sum(counts))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text"
        path.write_bytes(b"\xff".join(text.as_py().encode() for text in texts))
        theirs = peer_run(program, path, length)
    print(f"  peer   {total / 1e6 / theirs:8.1f} MB/s at {length} bytes; ours is {theirs / ours:.0f} times as fast")
    mine, peers = ours_in_two_places(texts, counts, size), peer_in_two_places(program, documents, size)
    print(
        f"  output {int(mine.sum()):,} words in two places by ours, {int(peers.sum()):,} by the peer, "
        f"{int((mine != peers).sum()):,} different"
    )


def main() -> None:
    """Print agreement, speed and memory, a line each."""
    parser = new_parser(__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--words", type=int, default=50)
    parser.add_argument("--megabytes", type=float, default=8, help="of text, of each file (default: %(default)s)")
    parser.add_argument("--peer", help="path of the peer's program, dedup_dataset")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    for file in arguments.files:
        table = pa.concat_tables(tables_up_to([file], arguments.megabytes)).combine_chunks()
        documents = words_of_documents(table["text"])
        size = text_bytes(table["text"])
        words = sum(map(len, documents))
        limits = Limits(arguments.words, 1, 0)
        list(repeated_passages(lambda: [table.slice(0, 2)], limits))  # noqa: B023  # compiles
        seconds = []
        for _ in range(arguments.runs):
            start = time.perf_counter()
            [found] = repeated_passages(lambda: [table], limits)  # noqa: B023
            seconds.append(time.perf_counter() - start)
        ours = statistics.median(seconds)
        cut = int(cut_lengths(found).sum())
        print(
            f"{Path(file).name}: {len(table):,} documents, {size / 1e6:.1f} MB, {words:,} words; {cut / size:.1%} cut"
        )
        print(
            f"  ours   {size / 1e6 / ours:8.1f} MB/s (median of {arguments.runs}), {words / ours / 1e6:.1f} M words/s"
        )
        if arguments.peer:
            with left_out_if_missing(arguments.peer):
                compare(arguments.peer, table["text"], documents, arguments.words, ours)
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"peak memory: this process {peaks[0]:,.0f} MiB (texts and numba included), the peer's {peaks[1]:,.0f} MiB")


if __name__ == "__main__":
    main()
