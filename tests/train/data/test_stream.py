"""The stream's promises: a pure order, no token lost, exact weights, resumed by one integer on any layout."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import CorruptShard, HeadwaterError, UsageError
from tests.token_folders import write_shards
from train.data.stream import StreamMismatch, TokenStream, micro_batches


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


@pytest.mark.parametrize("packing", ["concatenate", "best_fit"])
def test_a_sample_says_what_it_is_made_of(folders: dict[str, str], packing: str) -> None:
    stream = TokenStream(folders, sequence_length=32, seed=3, packing=packing)
    for sample in range(100):
        parts = [np.fromfile(path, "<i4")[at : at + count] for path, at, count in stream.provenance(sample)]
        assert np.array_equal(np.concatenate(parts), stream[sample])


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


def test_weights_are_exact_in_any_window(folders: dict[str, str]) -> None:
    """The stated window: over any run of whole samples, a domain's tokens are within two samples of its share."""
    weights = {"a": 0.61, "b": 0.07, "c": 0.32}
    stream = TokenStream(folders, sequence_length=16, weights=weights, seed=1)
    windows = stream.batch(0, 3000)[:, 0] // 100_000
    for domain, weight in enumerate(weights.values()):
        given_so_far = np.concatenate([[0], np.cumsum(windows == domain)])
        for length in (1, 2, 10, 100, 1000):
            counts = given_so_far[length:] - given_so_far[:-length]
            assert np.abs(counts - weight * length).max() < 2 + length / 65_536


def test_epochs_are_counted_by_domain(folders: dict[str, str]) -> None:
    """Each domain goes through its tokens at its own pace, and every pass has another order."""
    stream = TokenStream(folders, sequence_length=16, weights={"a": 0.5, "b": 0.25, "c": 0.25}, seed=1)
    samples = 2000
    assert stream.epochs(samples) == {"a": 1000 / 34, "b": 500 / 2, "c": 500 / 313}
    places: dict[tuple[str, int], list[int]] = {}
    for sample in range(samples):
        where = stream.locate(sample)
        places.setdefault((where.domain, where.epoch), []).append(where.token)
    for name, size in (("a", 34), ("b", 2), ("c", 313)):
        passes = [tuple(found) for (domain, _), found in sorted(places.items()) if domain == name]
        assert [len(found) for found in passes[:-1]] == [size] * (len(passes) - 1)
        assert all(len(set(found)) == len(found) for found in passes)  # nothing twice in one pass
        if size > 2:
            assert len(set(passes)) == len(passes)


def test_weights_change_at_a_token(folders: dict[str, str]) -> None:
    """At the first sample that begins at the stated token or behind it; what came before is as it was."""
    plan = {"sequence_length": 16, "weights": {"a": 0.9, "c": 0.1}, "seed": 5}
    plain = TokenStream(folders, **plan)
    for token, sample in ((1600, 100), (1599, 100), (1601, 101)):
        stream = TokenStream(folders, **plan, changes=[(token, {"b": 1.0, "c": 1.0})])
        assert np.array_equal(stream.batch(0, sample), plain.batch(0, sample))
        counts = stream.counts(sample)
        assert stream.counts(sample + 200) == counts | {"b": 100, "c": counts["c"] + 100}
        place = next(k for k in range(sample, sample + 9) if stream.locate(k).domain == "c")
        number = stream.counts(place)["c"]  # the domain goes on where it was
        before = next(k for k in range(3000) if plain.counts(k + 1)["c"] == number + 1)
        assert np.array_equal(stream[place], plain[before])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 400), st.tuples(*[st.integers(0, 5)] * 3).filter(any)), max_size=4), st.data())
def test_a_position_belongs_to_every_plan_that_agrees_up_to_it(
    folders: dict[str, str], steps: list[tuple[int, tuple[int, int, int]]], data: st.DataObject
) -> None:
    """Later changes may be added, moved and taken away; the order before them, and states saved there, stay good."""
    starts = np.cumsum([length for length, _ in steps]).tolist()
    changes = [(16 * start, dict(zip("abc", weights))) for start, (_, weights) in zip(starts, steps)]
    whole = TokenStream(folders, sequence_length=16, changes=changes)
    kept = data.draw(st.integers(0, len(changes)))
    other = TokenStream(folders, sequence_length=16, changes=changes[:kept])
    agree = starts[kept] if kept < len(starts) else 2000
    assert np.array_equal(other.batch(0, agree), whole.batch(0, agree))
    for samples in sorted({0, agree // 2, agree}):
        whole.samples = samples
        other.load_state_dict(whole.state_dict())
        assert other.samples == samples
    if kept < len(changes):
        whole.samples = agree + 1
        with pytest.raises(StreamMismatch, match="up to there"):
            other.load_state_dict(whole.state_dict())


@pytest.mark.parametrize("packing", ["concatenate", "best_fit"])
@settings(deadline=None, max_examples=30)
@given(st.data())
def test_any_history_of_layouts_gives_the_same_tokens(
    folders: dict[str, str], packing: str, data: st.DataObject
) -> None:
    """Runs that change mesh, micro-batch, batch, weights to come and process at every step read one global sequence."""
    plan = {"sequence_length": 24, "seed": 7, "weights": {"a": 0.6, "b": 0.1, "c": 0.3}, "packing": packing}
    changes = [(60 * 24, {"a": 0.2, "c": 0.8})]
    reference = TokenStream(folders, **plan, changes=changes).batch(0, 160)
    state, at = TokenStream(folders, **plan).state_dict(), 0
    while at < 120:
        stream = TokenStream(folders, **plan, changes=changes)  # a new process
        stream.load_state_dict(state)
        batch = data.draw(st.sampled_from([6, 12, 24]))
        pipeline, parts, tensor = (
            data.draw(st.sampled_from([n for n in (1, 2, 3, 6) if batch % n == 0])) for _ in "123"
        )
        micro_batch = data.draw(st.sampled_from([n for n in range(1, 25) if batch // parts % n == 0]))
        seen = []
        for rank in range(pipeline * parts * tensor):  # mesh (pp, dp, tp): ranks of one part read the same samples
            part = rank // tensor % parts
            mine = micro_batches(stream.samples, batch, micro_batch, rank=part, ranks=parts)
            read = np.concatenate([stream.batch(first, count) for first, count in mine])
            share = reference[at + part * batch // parts : at + (part + 1) * batch // parts]
            assert np.array_equal(read, share)
            seen.append(part)
        assert set(seen) == set(range(parts))
        at += batch
        stream.samples += batch
        state = stream.state_dict()
        assert state == {"samples": at, "fingerprint": state["fingerprint"]}  # one integer and a hash


def test_layouts_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UsageError, match="12 samples cannot be cut into 5"):
        list(micro_batches(0, 12, 1, ranks=5))
    with pytest.raises(UsageError, match="divides 6"):
        list(micro_batches(0, 12, 4, ranks=2))
    for wrong in ({"rank": 3, "ranks": 3}, {"rank": -1, "ranks": 3}, {"ranks": 0}, {"micro_batch": 0}):
        with pytest.raises(UsageError, match="each should be 1 or more"):
            list(micro_batches(0, 12, **({"micro_batch": 4} | wrong)))


def test_iteration_resumes_by_one_integer(folders: dict[str, str]) -> None:
    stream = TokenStream(folders, sequence_length=16, seed=2)
    first = [window.tolist() for _, window in zip(range(50), stream)]
    assert stream.state_dict()["samples"] == 50
    again = TokenStream(folders, sequence_length=16, seed=2)
    again.load_state_dict({**stream.state_dict(), "samples": 20})
    assert [window.tolist() for _, window in zip(range(30), again)] == first[20:]


def test_a_position_does_not_depend_on_how_weights_are_written(folders: dict[str, str]) -> None:
    """Shares decide the order: whole numbers, fractions, a 0 left out and a domain that only comes later are the
    same."""
    two = {name: folders[name] for name in "ac"}
    stream = TokenStream(two, sequence_length=16, weights={"a": 3, "c": 1})
    stream.samples = 40
    later = [(50 * 16, {"b": 1.0})]
    for other in (
        TokenStream(two, sequence_length=16, weights={"a": 0.75, "c": np.float32(0.25)}),
        TokenStream(folders, sequence_length=16, weights={"a": 3.0, "b": 0, "c": 1.0}),
        TokenStream(folders, sequence_length=16, weights={"a": 3.0, "c": 1.0}, changes=later),
    ):
        other.load_state_dict(stream.state_dict())
        assert np.array_equal(other.batch(0, 50), stream.batch(0, 50))
    other.samples = 51
    with pytest.raises(StreamMismatch, match="up to there"):
        stream.load_state_dict(other.state_dict())


@pytest.mark.parametrize(
    "change", [{"seed": 3}, {"sequence_length": 17}, {"weights": {"a": 1.0}}, {"packing": "best_fit"}]
)
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
    with pytest.raises(UsageError, match="concatenate, best_fit"):
        TokenStream(folders, sequence_length=16, packing="bestfit")
    with pytest.raises(StreamMismatch):
        TokenStream(folders, sequence_length=16).load_state_dict({"samples": 3})
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
