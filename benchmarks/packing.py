"""What packing wastes, on the lengths of real documents: concatenation, the stream's best fit, best fit of all.

    python benchmarks/packing.py FILES... [--sequence-length 4096] [--bytes-per-token 4] [--tokens 100]

FILES are .jsonl[.gz|.zst] or .parquet with a column `text`. A document has as many tokens as its UTF-8 bytes over
`--bytes-per-token`. Lengths are drawn from the files, with replacement, until there are `--tokens` millions, in a
random order as in token shards. Printed of each way: the tokens of its samples that are padding. The documents that
would fit into a sample and are cut. The mean number of tokens of the same document that a token has before it in its
sample (what it can attend to). The seconds it takes for a billion tokens. Best fit of all documents at once
(Ding et al., 2024) never cuts what fits, pads, and has to be done before the first step.
"""

import math
import time

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from arguments import new_parser
from documents import tables_up_to
from numba import njit

from train.data.packing import CHUNK_TOKENS, best_fit

Array = npt.NDArray[np.int64]


@njit(cache=False)
def best_fit_of_all(lengths: Array, capacity: int) -> tuple[int, Array]:
    """Best fit decreasing with as many bins as it takes: their number, and the pieces' lengths."""
    rooms = np.zeros(capacity + 1, np.int64)  # how many open bins have so much room
    pieces = np.empty(lengths.size + lengths.sum() // capacity, np.int64)
    count, bins = 0, 0
    rests = np.empty(lengths.size, np.int64)
    for i in range(lengths.size):
        for _ in range(lengths[i] // capacity):
            pieces[count] = capacity
            count += 1
            bins += 1
        rests[i] = lengths[i] % capacity
    for length in np.sort(rests)[::-1]:
        if length == 0:
            break
        room = length
        while room < capacity and rooms[room] == 0:
            room += 1
        if room < capacity:
            rooms[room] -= 1
        else:
            bins += 1
            room = capacity
        if room > length:
            rooms[room - length] += 1
        pieces[count] = length
        count += 1
    return bins, pieces[:count]


def by_groups(lengths: Array, capacity: int) -> tuple[int, Array, Array]:
    """Best fit as the stream does it: the samples, and the pieces' lengths and documents."""
    group = max(1, CHUNK_TOKENS // capacity)
    ends = np.cumsum(lengths)
    total = int(ends[-1]) // capacity * capacity
    pieces, owners = [], []
    for begin in range(0, total, group * capacity):
        tokens = min(group * capacity, total - begin)
        inside = ends[np.searchsorted(ends, begin, "right") : np.searchsorted(ends, begin + tokens, "left")]
        starts = np.union1d(inside - begin, [0])
        packed = best_fit(starts, np.diff(starts, append=tokens), tokens // capacity, capacity)
        pieces.append(packed.lengths)
        owners.append(np.searchsorted(ends, begin + packed.starts, "right"))
    return total // capacity, np.concatenate(pieces), np.concatenate(owners)


def concatenated(lengths: Array, capacity: int) -> tuple[int, Array, Array]:
    """Documents end to end, cut where samples end."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) // capacity * capacity
    cuts = np.unique(np.concatenate([ends[ends < total], np.arange(capacity, total + 1, capacity)]))
    starts = np.concatenate([[0], cuts[:-1]])
    return total // capacity, cuts - starts, np.searchsorted(ends, starts, "right")


def main() -> None:
    """Measure and print."""
    parser = new_parser(__doc__)
    parser.add_argument("files", nargs="+", metavar="FILES")
    parser.add_argument("--sequence-length", type=int, default=4096)
    parser.add_argument("--bytes-per-token", type=float, default=4)
    parser.add_argument("--tokens", type=float, default=100, help="millions (default: 100)")
    args = parser.parse_args()
    sizes = np.concatenate([pc.binary_length(batch["text"]).to_numpy() for batch in tables_up_to(args.files, math.inf)])
    found = (sizes / args.bytes_per_token).astype(np.int64) + 1
    wanted, capacity = args.tokens * 1e6, args.sequence_length + 1
    lengths = np.random.default_rng(1).choice(found, int(wanted / found.mean()))
    total, short = int(lengths.sum()), lengths <= capacity
    middle = np.median(found)
    print(
        f"{len(found):,} documents of {found.mean():,.0f} tokens (median {middle:,.0f}), {short.mean():.1%} of them fit"
    )
    print(f"{'':<22} {'padding':>9} {'cut though they fit':>20} {'context':>9} {'s per 1e9 tokens':>17}")
    best_fit_of_all(lengths[:9], capacity)
    by_groups(lengths[:9999], capacity)
    for name, pack in (("concatenation", concatenated), ("best fit, by groups", by_groups)):
        start = time.perf_counter()
        samples, pieces, owners = pack(lengths, capacity)
        seconds = time.perf_counter() - start
        parts = np.bincount(owners, minlength=len(lengths))[: owners.max()]
        cut = np.mean(parts[short[: owners.max()]] > 1)
        show(name, 1 - pieces.sum() / samples / capacity, cut, pieces, seconds / total * 1e9)
    start = time.perf_counter()
    bins, pieces = best_fit_of_all(lengths, capacity)
    show("best fit of all", 1 - total / bins / capacity, 0.0, pieces, (time.perf_counter() - start) / total * 1e9)


def show(name: str, padding: float, cut: float, pieces: Array, seconds: float) -> None:
    """Print a line; context is the mean over tokens of the tokens before them in their piece."""
    context = (pieces * (pieces - 1) / 2).sum() / pieces.sum()
    print(f"{name:<22} {padding:>9.4%} {cut:>20.3%} {context:>9.0f} {seconds:>17.2f}")


if __name__ == "__main__":
    main()
