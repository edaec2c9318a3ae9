"""Shingles, signatures and band keys against datasketch and plain Python."""

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.bands import keys_of_kind, sort_edges, star_edges
from corpus.dedup.buckets import number_buckets
from corpus.dedup.minhash import Scheme, sign, sign_with_minima
from corpus.dedup.scurve import choose_bands, match_probability
from corpus.dedup.shingles import shingle_hashes, slots_for, sorted_unique
from corpus.errors import UsageError
from corpus.kernels.sort import sort_keys
from corpus.kernels.words import words_of

TEXTS = st.builds(
    lambda sizes, random: ["".join(random.choices("ab c d\n.中文字é，", k=size)) for size in sizes],
    st.lists(st.integers(0, 400), min_size=1, max_size=6),
    st.randoms(),
)
MASK = (1 << 64) - 1


def reference_shingles(text: str, size: int) -> set[int]:
    words = [h for _, h in words_of(text)]
    size = min(size, len(words))
    found = set()
    for start in range(len(words) - size + 1 if words else 0):
        value = 0
        for word in words[start : start + size]:
            value = (((value << 13) | (value >> 51)) & MASK) ^ word
        found.add((value ^ (value >> 32)) & 0xFFFFFFFF)
    return found


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from([1, 2, 5, 64]), st.sampled_from([(1, 1), (4, 3), (5, 4)]), st.integers(1, 200))
def test_signatures_equal_datasketch(texts: list[str], shingle: int, shape: tuple[int, int], seed: int) -> None:
    bands, rows = shape
    scheme = Scheme(shingle=shingle, bands=bands, rows=rows, seed=seed)
    signatures, minima = sign_with_minima(pa.array(texts, pa.large_string()), scheme)
    for row, text in enumerate(texts):
        shingles = reference_shingles(text, shingle)
        oracle = MinHash(num_perm=bands * rows, seed=seed, scheme="affine32", hashfunc=lambda value: value)
        oracle.update_batch(sorted(shingles))
        assert minima[row].tolist() == oracle.hashvalues.tolist()
        sketch = signatures.values[signatures.offsets[row] : signatures.offsets[row + 1]]
        assert sketch.tolist() == sorted(shingles)
        assert signatures.shingles[row] == len(shingles)
        assert bool(signatures.bands[row].any()) == bool(shingles)


def test_a_signature_loads_into_datasketch() -> None:
    texts = ["one two three four five six seven eight nine ten", "one two three four five six seven eight nine eleven"]
    _, minima = sign_with_minima(pa.array(texts), Scheme(bands=32, rows=4))
    loaded = [MinHash(num_perm=128, seed=1, scheme="affine32", hashvalues=row) for row in minima]
    assert loaded[0].jaccard(loaded[1]) == np.mean(minima[0] == minima[1])


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(1, 30))
def test_a_cut_sketch_holds_the_smallest_hashes(texts: list[str], size: int) -> None:
    column = pa.array(texts)
    whole, cut = sign(column, Scheme()), sign(column, Scheme(sketch_size=size))
    assert (whole.bands == cut.bands).all()
    assert (whole.shingles == cut.shingles).all()
    for row in range(len(texts)):
        kept = cut.values[cut.offsets[row] : cut.offsets[row + 1]]
        assert kept.tolist() == whole.values[whole.offsets[row] : whole.offsets[row + 1]][:size].tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1) | st.sampled_from([0, 7, 2**32 - 1]), max_size=200))
def test_sorted_unique(values: list[int]) -> None:
    array = np.array(values, np.uint32)
    work, out = np.empty((2, len(values)), np.uint32)
    count = sorted_unique(array, len(values), np.empty(slots_for(len(values)), np.int32), work, out)
    assert out[:count].tolist() == sorted(set(values))


def test_shingles_depend_on_the_order_of_words() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64, 6, np.uint64)
    out = np.empty(8, np.uint32)
    seen = set()
    for order in ([0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [4, 3, 2, 1, 0], [0, 1, 2, 3, 5], [0, 0, 2, 3, 4]):
        assert shingle_hashes(words[order], 5, 5, out) == 1
        seen.add(int(out[0]))
    assert len(seen) == 5


def test_the_s_curve_is_what_the_keys_do() -> None:
    """Random sets of known similarity share a bucket as often as the formula says (3 standard deviations)."""
    rng = np.random.default_rng(1)
    bands, rows, trials, size = 20, 5, 400, 60
    for similarity in (0.4, 0.6, 0.8):
        common = round(2 * size * similarity / (1 + similarity))
        texts = []
        for _ in range(trials):
            words = rng.integers(0, 2**40, 2 * size)
            one, other = words[:size], np.r_[words[:common], words[size : 2 * size - common]]
            texts += [" ".join(f"{w:x}" for w in side) for side in (one, other)]
        keys = sign(pa.array(texts), Scheme(shingle=1, bands=bands, rows=rows)).bands
        met = (keys[0::2] == keys[1::2]).any(axis=1).mean()
        p = match_probability(common / (2 * size - common), bands, rows)
        assert abs(met - p) < 3 * np.sqrt(p * (1 - p) / trials) + 0.005


@pytest.mark.parametrize(("threshold", "recall"), [(0.8, 0.9995), (0.7, 0.99), (0.9, 0.999), (0.5, 0.95)])
def test_chosen_bands_reach_the_recall(threshold: float, recall: float) -> None:
    bands, rows = choose_bands(threshold, recall)
    assert match_probability(threshold / 2, bands, rows) <= 0.2
    assert match_probability(threshold, bands, rows) >= recall
    assert bands * rows <= 256


def test_the_default_scheme_is_the_choice_for_its_target() -> None:
    assert choose_bands(0.8, 0.9995) == (Scheme().bands, Scheme().rows)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.6])
def test_a_low_threshold_gets_what_finds_fewest_others(threshold: float) -> None:
    bands, rows = choose_bands(threshold, 0.9995)
    noise = match_probability(threshold / 2, bands, rows)
    assert match_probability(threshold, bands, rows) >= 0.9995
    for other in range(1, 9):
        least = next(n for n in range(1, 10**6) if match_probability(threshold, n, other) >= 0.9995)
        assert least * other > 256 or match_probability(threshold / 2, least, other) >= noise > 0.2


def test_an_impossible_recall_is_refused() -> None:
    with pytest.raises(UsageError, match="ask for less recall"):
        choose_bands(0.05, 0.999999, most=64)


# Keys that differ in their highest bits, in their lowest, and in any: what is sorted holds only some of the bits.
KEYS = st.one_of(st.integers(0, 5), st.sampled_from([2**63, 2**63 + 1, 2**63 + 2]), st.integers(0, 2**64 - 1))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(KEYS, st.integers(0, 30)), max_size=40, unique=True), st.randoms())
def test_star_edges_connect_each_bucket_to_its_first(pairs: list[tuple[int, int]], random: object) -> None:
    keys = np.array([key for key, _ in pairs], np.uint64)
    numbers = np.array([number for _, number in pairs], np.uint64)
    edges = sort_edges(star_edges(keys, numbers))
    buckets: dict[int, list[int]] = {}
    for key, number in pairs:
        buckets.setdefault(key, []).append(number)
    expected = {(n, min(bucket)) for bucket in buckets.values() for n in bucket if n != min(bucket)}
    assert list(zip(edges.second.tolist(), edges.first.tolist())) == sorted(expected)
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    again = sort_edges(star_edges(keys[order], numbers[order]))
    assert (again.first == edges.first).all()
    assert (again.second == edges.second).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(KEYS, max_size=60), st.integers(0, 3))
def test_keys_are_sorted_with_their_rows(values: list[int], kind: int) -> None:
    keys = np.array(values, np.uint64)
    rows = np.arange(len(values), dtype=np.uint32)
    for some in (keys, keys_of_kind(keys, kind)):
        key, row = sort_keys(some, rows)
        assert list(zip(key.tolist(), row.tolist())) == sorted(zip(some.tolist(), rows.tolist()))


@settings(max_examples=100, deadline=None)
@given(st.lists(KEYS, max_size=60))
def test_numbers_of_buckets(values: list[int]) -> None:
    keys = np.array(values, np.uint64)
    numbers = np.full(len(keys), 99, np.int32)
    total = number_buckets(keys, numbers, 7)
    found: dict[int, set[int]] = {}
    for key, number in zip(values, numbers.tolist()):
        found.setdefault(key, set()).add(number)
    assert all(len(some) == 1 for some in found.values())
    shared = [found[key].pop() for key in found if key and values.count(key) > 1]
    assert sorted(shared) == list(range(7, total))
    assert all(number == -1 for key, number in zip(values, numbers) if not key or values.count(key) == 1)


def test_signatures_of_today() -> None:
    """They are in tables on disk."""
    text = pa.array(["The quick brown fox jumps over the lazy dog, and 中文分词也一样。", "naïve café", ""])
    found = sign(text, Scheme(shingle=3, bands=2, rows=3))
    assert found.bands.tolist() == [
        [0x52C293BBA4E731DA, 0xFEF1E363EADF1C37],
        [0x857ADD3412C4FBBD, 0x219F4C9D942AE5A5],
        [0, 0],
    ]
    assert found.values[:3].tolist() == [0x1552981D, 0x273F76C6, 0x2D5D8969]
    assert found.offsets.tolist() == [0, 15, 16, 16]
