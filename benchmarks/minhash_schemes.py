"""Which signature scheme: affine32, one-permutation hashing and Fast Similarity Sketching, by accuracy and by speed.

    HEADWATER_DATA=... python benchmarks/minhash_schemes.py [--trials 1000] [--documents N]

Two tables, both at 100 values a signature and 20 bands of 5. On made-up sets of a given size and a Jaccard similarity
of 0.8: the root mean square error of the estimate and the time a signature takes, from shingle hashes to values. On the
ground truth's documents, whole and only their beginnings: the share of pairs that become candidates, by their exact
similarity; short documents are where schemes differ.
"""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from arguments import add_documents, new_parser
from near_duplicate_truth import load
from numba import njit

from corpus.dedup.bands import band_keys
from corpus.dedup.minhash import Scheme, minimum_of_permutations, permutations, sign
from corpus.dedup.verify import similarity
from corpus.kernels.hashing import GOLDEN_RATIO, MURMUR_1, fmix64

VALUES, BANDS = 100, 20
SIZES = (20, 60, 120, 450, 2000)
JACCARD = 0.8
_U32, _U64 = np.uint32, np.uint64
_MULTIPLIERS, _INCREMENTS = permutations(VALUES, 1)
Kernel = Callable[..., None]
Minima = npt.NDArray[np.uint32]


@njit(nogil=True)
def affine32(hashes, count, work, out):  # type: ignore[no-untyped-def]
    """Ours: the minimum of each of so many affine permutations."""
    minimum_of_permutations(hashes, count, _MULTIPLIERS, _INCREMENTS, work, out)


@njit(nogil=True)
def one_permutation(hashes, count, work, out):  # type: ignore[no-untyped-def]
    """One hash a shingle, whose high part says which value it may lower; values that none reached are copied from
    others by optimal densification (Shrivastava 2017)."""
    filled = np.zeros(len(out), np.bool_)
    out[:] = _U32(0xFFFFFFFF)
    for i in range(count):
        mixed = fmix64(_U64(hashes[i]) + GOLDEN_RATIO)
        place = ((mixed >> _U64(32)) * _U64(len(out))) >> _U64(32)
        filled[place] = True
        out[place] = min(out[place], _U32(mixed))
    for place in range(len(out)):
        attempt, source = _U64(0), _U64(place)
        while not filled[source]:
            attempt += _U64(1)
            source = ((fmix64(_U64(place) * MURMUR_1 + attempt * GOLDEN_RATIO) >> _U64(32)) * _U64(len(out))) >> _U64(
                32
            )
        if not filled[place]:
            work[place] = out[source]
    for place in range(len(out)):
        if not filled[place]:
            out[place] = work[place]


@njit(nogil=True)
def fast_similarity(hashes, count, work, out):  # type: ignore[no-untyped-def]
    """Rounds of one hash a shingle until every value is reached, an earlier round winning (Dahlgaard et al. 2017)."""
    values = len(out)
    reached = np.full(values, 2 * values, np.int64)  # the round of each value
    missing = values
    for turn in range(2 * values):
        salt = fmix64(_U64(turn) * GOLDEN_RATIO + MURMUR_1)
        for i in range(count):
            mixed = fmix64(_U64(hashes[i]) ^ salt)
            place = ((mixed >> _U64(32)) * _U64(values)) >> _U64(32) if turn < values else _U64(turn - values)
            value = _U32(mixed)
            if reached[place] > turn:
                missing -= reached[place] == 2 * values
                reached[place] = turn
                out[place] = value
            elif reached[place] == turn:
                out[place] = min(out[place], value)
        if missing == 0:
            break


SCHEMES: dict[str, Kernel] = {
    "affine32": affine32,
    "one-permutation": one_permutation,
    "fast similarity": fast_similarity,
}


@njit(nogil=True)
def _signatures(kernel, values, offsets, work, out):  # type: ignore[no-untyped-def]
    """The signature of each set of `values`, as `Signatures` holds them."""
    for row in range(len(offsets) - 1):
        count = offsets[row + 1] - offsets[row]
        if count:
            kernel(values[offsets[row] : offsets[row + 1]], count, work, out[row])


@njit(nogil=True)
def _keys(minima, out):  # type: ignore[no-untyped-def]
    for row in range(len(minima)):
        band_keys(minima[row], out[row])


def signatures(
    kernel: Kernel, values: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    """[sets, VALUES]: the signatures of sets that lie one after another."""
    out = np.zeros((len(offsets) - 1, VALUES), np.uint32)
    work = np.empty(int(np.diff(offsets).max()) + VALUES + 64, np.uint32)
    _signatures(kernel, values, offsets, work, out)
    return out


def made_up(size: int, trials: int) -> tuple[npt.NDArray[np.uint32], float]:
    """[2 * trials, size] sets, in pairs that have so much in common, and their exact similarity."""
    common = round(2 * size * JACCARD / (1 + JACCARD))
    rng = np.random.default_rng(size)
    sets = rng.integers(0, 1 << 32, (2 * trials, size), np.uint32)
    sets[1::2, :common] = sets[0::2, :common]
    return sets, common / (2 * size - common)


def on_made_up(trials: int) -> None:
    """Print the errors and the times."""
    print("| shingles | " + " | ".join(f"{name}: error | µs" for name in SCHEMES) + " |")
    print("|--:|" + "--:|--:|" * len(SCHEMES))
    for size in SIZES:
        sets, exact = made_up(size, trials)
        offsets = np.arange(len(sets) + 1) * size
        cells = []
        for kernel in SCHEMES.values():
            signatures(kernel, sets.ravel()[:size], offsets[:2])
            start = time.process_time()
            found = signatures(kernel, sets.ravel(), offsets)
            seconds = time.process_time() - start
            error = (found[0::2] == found[1::2]).mean(axis=1) - exact
            cells.append(f"{np.sqrt(np.mean(error**2)):.4f} | {seconds / len(sets) * 1e6:.1f}")
        print(f"| {size} | " + " | ".join(cells) + " |")


def on_documents(language: str, documents: int | None, characters: int | None) -> None:
    """Print the share of pairs that become candidates; with `characters`, of the documents' beginnings."""
    truth = load(language, documents)
    sketches = sign(pa.array([text[:characters] for text in truth.texts], pa.large_string()), Scheme())
    jaccard = np.array([similarity(*sketches[1:], a, b) for a, b in zip(truth.a, truth.b, strict=True)])
    edges = [(0.3, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)]
    groups = [(jaccard >= low) & (jaccard < high) for low, high in edges]
    name = f"{language}, {np.median(sketches.shingles):.0f} shingles"
    print(f"\n| {name} | " + " | ".join(f"{low}-{min(high, 1):g}" for low, high in edges) + " |")
    print("|---|" + "--:|" * len(edges))
    print("| pairs | " + " | ".join(f"{int(group.sum()):,}" for group in groups) + " |")
    for name, kernel in SCHEMES.items():
        minima = signatures(kernel, sketches.values, sketches.offsets)
        keys = np.zeros((len(minima), BANDS), np.uint64)
        _keys(minima, keys)
        met = (keys[truth.a] == keys[truth.b]).any(axis=1)
        print(f"| {name} | " + " | ".join(f"{met[group].mean():.4f}" for group in groups) + " |")


def main() -> None:
    """Print both tables."""
    parser = new_parser(__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="pairs of made-up sets of each size (default: 1000)")
    add_documents(parser, "documents of each language")
    arguments = parser.parse_args()
    on_made_up(arguments.trials)
    for language, short in (("en", 300), ("zh", 60)):
        on_documents(language, arguments.documents, None)
        on_documents(language, arguments.documents, short)


if __name__ == "__main__":
    main()
