"""Best-fit packing: nothing padded, nothing lost, few documents cut, and still a pure function of k."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.token_folders import write_shards
from train.data import packing
from train.data.boundaries import cumulative_lengths, positions
from train.data.packing import best_fit
from train.data.stream import TokenStream


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(2, 20))
def test_every_token_is_in_one_bin_and_every_bin_is_full(lengths: list[int], capacity: int) -> None:
    total = sum(lengths) // capacity * capacity
    bins = total // capacity
    if not bins:
        return
    ends = np.minimum(np.cumsum(lengths), total)
    sizes = np.diff(ends, prepend=0)
    sizes = sizes[sizes > 0]
    starts = np.cumsum(sizes) - sizes
    packed = best_fit(starts, sizes, bins, capacity)
    covered = np.concatenate([np.arange(a, a + n) for a, n in zip(packed.starts, packed.lengths)])
    assert np.array_equal(np.sort(covered), np.arange(total))
    fill = [packed.lengths[a:b].sum() for a, b in zip(packed.firsts[:-1], packed.firsts[1:])]
    assert fill == [capacity] * bins
    assert all((np.diff(packed.starts[a:b]) > 0).all() for a, b in zip(packed.firsts[:-1], packed.firsts[1:]))
    inside = np.searchsorted(starts, packed.starts, side="right") - 1
    assert (packed.starts + packed.lengths <= (starts + sizes)[inside]).all()  # a piece is of one document


def test_what_fits_is_not_cut() -> None:
    starts, lengths = np.array([0, 6, 9, 13, 14]), np.array([6, 3, 4, 1, 6])
    packed = best_fit(starts, lengths, 2, 10)
    bins = [packed.lengths[a:b].tolist() for a, b in zip(packed.firsts[:-1], packed.firsts[1:])]
    assert sorted(map(sorted, bins)) == [[1, 3, 6], [4, 6]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Documents of realistic lengths; the tokens are their positions."""
    generator, at, shards = np.random.default_rng(2), 0, []
    for _ in range(3):
        shards.append([])
        for length in np.minimum(generator.lognormal(4, 1.2, 400), 4000).astype(int) + 1:
            shards[-1].append(np.arange(at, at + length))
            at += length
    return write_shards(tmp_path_factory.mktemp("packed") / "x", shards, vocab_size=1 << 30)


def test_an_epoch_has_every_token(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK_TOKENS", 1 << 14)
    stream = TokenStream({"x": folder}, sequence_length=255, packing="best_fit", seed=4)
    size, tokens = stream.samples_per_epoch(0), stream.sources[0].num_tokens
    assert size == -(-tokens // 256)
    orders = set()
    for epoch in range(3):
        samples = stream.batch(epoch * size, size)
        counts = Counter(samples.ravel().tolist())
        assert set(counts) == set(range(tokens))
        assert sum(counts.values()) - tokens == size * 256 - tokens < 256  # the last sample goes on into the first
        orders.add(samples.tobytes())
    assert len(orders) == 3


def cut_share(stream: TokenStream, folder: str, size: int) -> float:
    """The share of documents no longer than a sample of which no sample has all tokens."""
    shards = stream.sources[0].shards
    bounds, base = [], 0
    for number in range(len(shards.shards)):
        bounds += [(base + a, base + b) for a, b in pairwise(shards.document_offsets(number).tolist())]
        base += shards.shards[number].num_tokens
    owner = {}
    for row, sample in enumerate(stream.batch(0, size).tolist()):
        for token in sample:
            owner.setdefault(token, set()).add(row)
    short = [(a, b) for a, b in bounds if b - a <= stream.sequence_length + 1]
    return sum(not set.intersection(*(owner[t] for t in range(a, b))) for a, b in short) / len(short)


def test_few_documents_are_cut(folder: str) -> None:
    plain = TokenStream({"x": folder}, sequence_length=1023, seed=1)
    packed = TokenStream({"x": folder}, sequence_length=1023, seed=1, packing="best_fit")
    cut_by_concatenation = cut_share(plain, folder, plain.samples_per_epoch(0))
    cut_by_packing = cut_share(packed, folder, packed.samples_per_epoch(0))
    assert cut_by_concatenation > 0.08
    assert cut_by_packing < 0.02


def test_boundaries_are_those_of_the_pieces(folder: str) -> None:
    """Tokens are positions, so a step other than one within a sample is where a piece ends."""
    stream = TokenStream({"x": folder}, sequence_length=255, packing="best_fit", seed=4)
    samples, documents = stream.batch(0, 60), stream.documents(0, 60)
    breaks = (np.diff(samples[:, :-1], axis=1) != 1).astype(int)
    changes = np.diff(documents, axis=1)
    assert (changes >= breaks).all()
    assert (documents[:, 0] == 0).all()
    assert set(np.unique(changes)) == {0, 1}
    shards, base = stream.sources[0].shards, 0
    begins = set()
    for number, shard in enumerate(shards.shards):
        begins |= {base + start for start in shards.document_offsets(number)[:-1].tolist()}
        base += shard.num_tokens
    rows, columns = np.nonzero(changes > breaks)  # two documents that follow each other in the corpus, too
    assert {int(samples[row, column + 1]) for row, column in zip(rows, columns)} <= begins


def test_packed_order_does_not_depend_on_what_was_read(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK_TOKENS", 1 << 13)
    reference = TokenStream({"x": folder}, sequence_length=255, packing="best_fit", seed=4).batch(0, 500)
    monkeypatch.setattr(packing, "KEPT_CHUNKS", 2)
    stream = TokenStream({"x": folder}, sequence_length=255, packing="best_fit", seed=4)
    for k in np.random.default_rng(0).permutation(500).tolist():
        assert np.array_equal(stream[k], reference[k])
    assert len(stream._packed[0]._kept) == 2


def test_positions_and_cumulative_lengths() -> None:
    documents = np.array([[0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 1, 1]], np.int32)
    assert positions(documents).tolist() == [[0, 1, 0, 1, 2, 0], [0, 0, 1, 2, 3, 4]]
    assert cumulative_lengths(documents).tolist() == [0, 2, 5, 6, 7, 12]


def test_a_domain_shorter_than_a_sample(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "s", [[np.arange(5)], [np.arange(5, 12)]])
    stream = TokenStream({"s": folder}, sequence_length=30, packing="best_fit")
    sample = stream[0].tolist()
    assert set(sample) == set(range(12))
    assert len(sample) == 31
