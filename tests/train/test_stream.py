"""The stream's promises: a pure order, no token lost, exact weights, resumed by one integer on any layout."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from token_folders import write_shards

from corpus import storage
from corpus.errors import CorruptShard, HeadwaterError, UsageError
from train.stream import StreamMismatch, TokenStream, micro_batches


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Three domains whose tokens are their own positions, so that a window shows where it was cut."""
    root = tmp_path_factory.mktemp("stream")
    made = {}
    for name, base, lengths in (
        ("a", 0, [[50, 70, 3], [], [1, 400, 9]]),
        ("b", 100_000, [[5], [7], [11]]),  # shorter than a window
        ("c", 200_000, [[1000] * 5]),
    ):
        position, shards = base, []
        for shard in lengths:
            shards.append([])
            for length in shard:
                shards[-1].append(np.arange(position, position + length))
                position += length
        made[name] = write_shards(root / name, shards, vocab_size=1 << 20)
    return made


def test_a_window_goes_on_where_its_domain_does(folders: dict[str, str]) -> None:
    stream = TokenStream(folders, sequence_length=32, seed=3)
    sizes, bases = {"a": 533, "b": 23, "c": 5000}, {"a": 0, "b": 100_000, "c": 200_000}
    for sample in range(300):
        place = stream.locate(sample)
        expected = bases[place.domain] + (place.token + np.arange(33)) % sizes[place.domain]
        assert np.array_equal(stream[sample], expected)


def test_an_epoch_has_every_token_as_input_and_as_target(folders: dict[str, str]) -> None:
    stream = TokenStream({"a": folders["a"]}, sequence_length=32, seed=1)
    size = stream.samples_per_epoch(0)
    assert size == 17  # 533 tokens
    starts = set()
    for epoch in range(6):
        windows = stream.batch(epoch * size, size)
        assert {stream.locate(k).epoch for k in range(epoch * size, (epoch + 1) * size)} == {epoch}
        for part in (windows[:, :-1], windows[:, 1:]):
            counts = Counter(part.ravel().tolist())
            assert set(counts) == set(range(533))
            assert sum(counts.values()) - 533 == 17 * 32 - 533  # what the last window repeats of the first, no more
            assert max(counts.values()) <= 2
        starts.add(tuple(windows[:, 0]))
    assert len(starts) == 6  # each epoch in another order


def test_weights_are_exact_in_tokens(folders: dict[str, str]) -> None:
    weights = {"a": 0.5, "b": 0.125, "c": 0.375}
    stream = TokenStream(folders, sequence_length=16, weights=weights, seed=1)
    seen: Counter[str] = Counter()
    for sample, window in zip(range(4000), stream):
        seen["abc"[int(window[0]) // 100_000]] += 1
        for name, weight in weights.items():
            assert abs(seen[name] - weight * (sample + 1)) < 1
    assert stream.counts(4000) == dict(seen)


def test_natural_weights_are_in_proportion_to_tokens(folders: dict[str, str]) -> None:
    counts = TokenStream(folders, sequence_length=16).counts(65_536)
    for name, tokens in (("a", 533), ("b", 23), ("c", 5000)):
        assert abs(counts[name] - 65_536 * tokens / 5556) <= 1


def test_weights_may_change_at_a_sample(folders: dict[str, str]) -> None:
    stream = TokenStream(folders, sequence_length=16, weights={"a": 1.0}, later=[(100, {"b": 1.0, "c": 1.0})])
    assert stream.counts(100) == {"a": 100, "b": 0, "c": 0}
    assert stream.counts(300) == {"a": 100, "b": 100, "c": 100}


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_history_of_layouts_gives_the_same_tokens(folders: dict[str, str], data: st.DataObject) -> None:
    """Runs that change ranks, micro-batch and process at every step read one and the same global sequence."""
    arguments = {"sequence_length": 24, "seed": 7, "weights": {"a": 0.6, "b": 0.1, "c": 0.3}}
    reference = TokenStream(folders, **arguments).batch(0, 12 * 10)
    state = TokenStream(folders, **arguments).state_dict()
    for step in range(10):
        stream = TokenStream(folders, **arguments)  # a new process
        stream.load_state_dict(state)
        ranks = data.draw(st.sampled_from([1, 2, 3, 4, 6, 12]))
        micro_batch = data.draw(st.sampled_from([n for n in range(1, 13) if 12 // ranks % n == 0]))
        parts = [
            stream.batch(first, count)
            for rank in range(ranks)
            for first, count in micro_batches(stream.samples, 12, micro_batch, rank=rank, ranks=ranks)
        ]
        assert all(len(part) == micro_batch for part in parts)
        assert np.array_equal(np.concatenate(parts), reference[step * 12 : (step + 1) * 12])
        stream.samples += 12
        state = stream.state_dict()


def test_layouts_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UsageError, match="12 samples cannot be cut into 5"):
        list(micro_batches(0, 12, 1, ranks=5))
    with pytest.raises(UsageError, match="divides 6"):
        list(micro_batches(0, 12, 4, ranks=2))


def test_iteration_resumes_by_one_integer(folders: dict[str, str]) -> None:
    stream = TokenStream(folders, sequence_length=16, seed=2)
    first = [window.tolist() for _, window in zip(range(50), stream)]
    assert stream.state_dict()["samples"] == 50
    again = TokenStream(folders, sequence_length=16, seed=2)
    again.load_state_dict({**stream.state_dict(), "samples": 20})
    assert [window.tolist() for _, window in zip(range(30), again)] == first[20:]


@pytest.mark.parametrize("change", [{"seed": 3}, {"sequence_length": 17}, {"weights": {"a": 1.0}}])
def test_another_streams_state_is_refused(folders: dict[str, str], change: dict) -> None:
    state = TokenStream(folders, sequence_length=16, seed=2).state_dict()
    with pytest.raises(StreamMismatch, match="other shards"):
        TokenStream(folders, **({"sequence_length": 16, "seed": 2} | change)).load_state_dict(state)


def test_seeds_and_domains_have_orders_of_their_own(folders: dict[str, str]) -> None:
    orders = {TokenStream(folders, sequence_length=16, seed=seed).batch(0, 40).tobytes() for seed in range(20)}
    assert len(orders) == 20
    both = TokenStream({"x": folders["c"], "y": folders["c"]}, sequence_length=16, weights={"x": 1, "y": 1})
    assert [both.locate(k).token for k in range(0, 40, 2)] != [both.locate(k).token for k in range(1, 40, 2)]


def test_documents_are_told_apart(folders: dict[str, str]) -> None:
    stream = TokenStream({"a": folders["a"]}, sequence_length=32, seed=1)
    begins = {0, 50, 120, 123, 124, 524}  # of documents of 50, 70, 3, 1, 400 and 9 tokens
    windows, documents = stream.batch(0, 40), stream.documents(0, 40)
    for window, numbers in zip(windows, documents):
        expected, number = [], -1
        for place, token in enumerate(window[:-1].tolist()):
            number += place == 0 or token in begins
            expected.append(number)
        assert numbers.tolist() == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_loader_gives_the_same_batches(folders: dict[str, str], workers: int) -> None:
    stream = TokenStream(folders, sequence_length=16, seed=4)
    loader = torch.utils.data.DataLoader(stream, batch_size=8, sampler=range(24, 56), num_workers=workers)
    batches = list(loader)
    assert [tuple(batch.shape) for batch in batches] == [(8, 17)] * 4
    assert np.array_equal(torch.cat(batches).numpy(), stream.batch(24, 32))


def test_a_pickled_stream_opens_its_shards_again(folders: dict[str, str]) -> None:
    stream = TokenStream(folders, sequence_length=16, seed=4, weights={"a": 1, "c": 2})
    stream.samples = 9
    data = pickle.dumps(stream)
    assert len(data) < 5000
    copy = pickle.loads(data)
    assert copy.state_dict() == stream.state_dict()
    assert np.array_equal(copy.batch(0, 10), stream.batch(0, 10))


def test_what_does_not_fit_is_refused(folders: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\['d'\]"):
        TokenStream(folders, sequence_length=16, weights={"a": 1, "d": 1})
    with pytest.raises(UsageError, match="no tokens"):
        TokenStream({"empty": write_shards(tmp_path / "empty", [[]])}, sequence_length=16)
    with pytest.raises(HeadwaterError, match="tokenizer"):
        TokenStream(folders, sequence_length=16, tokenizer_hash="another")
    with pytest.raises(IndexError, match="-1"):
        TokenStream(folders, sequence_length=16)[-1]


def test_altered_shards_are_found(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "x", [[np.arange(100)]])
    path = tmp_path / "x/00000.bin"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptShard, match="checksum"):
        TokenStream({"x": folder}, sequence_length=8, verify=True)
    path.write_bytes(data[:-4])
    with pytest.raises(CorruptShard, match="396"):
        TokenStream({"x": folder}, sequence_length=8)


def test_shards_in_an_object_store(
    s3_bucket: str, folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are fetched once, checked, and give the same samples; an altered one is refused and not kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for info in storage.list_files(folders["a"]):
        storage.write_bytes(f"{s3_bucket}/a/{info.path.rsplit('/', 1)[1]}", storage.read_bytes(info.path))
    here = TokenStream({"a": folders["a"]}, sequence_length=16)
    there = TokenStream({"a": f"{s3_bucket}/a"}, sequence_length=16)
    assert there.fingerprint == here.fingerprint
    assert np.array_equal(there.batch(0, 50), here.batch(0, 50))
    assert np.array_equal(there.documents(0, 50), here.documents(0, 50))
    kept = sorted((tmp_path / "headwater/tokens").iterdir())
    assert len(kept) == 2  # of three shards one is empty
    data = storage.read_bytes(f"{s3_bucket}/a/00000.bin")
    storage.write_bytes(f"{s3_bucket}/a/00000.bin", data[:-1] + bytes([data[-1] ^ 1]))
    again = TokenStream({"a": f"{s3_bucket}/a"}, sequence_length=16)  # from the copy
    assert np.array_equal(again.batch(0, 50), here.batch(0, 50))
    for path in kept:
        path.unlink()
    with pytest.raises(CorruptShard, match=r"00000\.bin"):
        TokenStream({"a": f"{s3_bucket}/a"}, sequence_length=16)
    assert list((tmp_path / "headwater/tokens").iterdir()) == []
