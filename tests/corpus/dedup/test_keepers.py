"""Verification, components and keepers against brute force."""

import hypothesis.extra.numpy as hnp
import networkx as nx
import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.bands import Edges
from corpus.dedup.components import components
from corpus.dedup.exact import hash_columns, text_hashes, url_hashes
from corpus.dedup.keepers import LEVELS, NO_DATE, Members, cluster_sizes, elect, policy_order
from corpus.dedup.minhash import Scheme, Signatures, sign
from corpus.dedup.verify import may_reach, similarity

DOCUMENTS = st.builds(
    lambda count, random: [" ".join(random.choices("abcd", k=random.randint(0, 14))) for _ in range(count)],
    st.integers(1, 40),
    st.randoms(),
)
POLICY = st.permutations(["passes", "quality", "date", "length", "dump", "id"]).map(tuple)


def members_of(texts: list[str], scheme: Scheme, seed: int = 0) -> Members:
    rng = np.random.default_rng(seed)
    n = len(texts)
    column = pa.array(texts, pa.large_string())
    return Members(
        np.arange(n, dtype=np.uint64),
        sign(column, scheme),
        hash_columns(text_hashes(column)),
        rng.integers(0, 4, n).astype(np.uint64),
        rng.integers(0, 3, n).astype(np.int32),
        np.where(rng.random(n) < 0.3, NO_DATE, rng.integers(0, 3, n)),
        np.array([len(t) for t in texts], np.int64),
        rng.integers(0, 3, n).astype(np.int32),
        rng.permutation(n),
    )


def shingle_sets(members: Members) -> list[set[int]]:
    s = members.signatures
    return [set(s.values[s.offsets[i] : s.offsets[i + 1]].tolist()) for i in range(len(members.numbers))]


def jaccard(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b) if a and b else 0.0


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, POLICY, st.booleans(), st.booleans(), st.integers(0, 9))
def test_election_equals_brute_force(texts: list[str], policy: tuple, newest: bool, by_url: bool, seed: int) -> None:
    """Against comparing every document with every keeper; one row a band makes any common minimum a bucket."""
    threshold = 0.6
    members = members_of(texts, Scheme(shingle=2, bands=64, rows=1), seed)
    order = policy_order(members, policy, newest)
    election = elect(members, order, threshold, by_url)
    sets = shingle_sets(members)
    keepers: list[int] = []
    for m in order.tolist():
        matches = []
        for place, k in enumerate(keepers):
            if texts[m] == texts[k]:
                matches.append((1, -1.0, place))
            elif by_url and members.url_hash[m] and members.url_hash[m] == members.url_hash[k]:
                matches.append((2, -jaccard(sets[m], sets[k]), place))
            elif jaccard(sets[m], sets[k]) >= threshold:
                matches.append((3, -jaccard(sets[m], sets[k]), place))
        if matches:
            level, value, place = min(matches)
            assert election.level[m] == level
            assert np.isclose(election.similarity[m], -value)
            assert election.keeper[m] == keepers[place]
        else:
            assert election.keeper[m] == m
            assert LEVELS[election.level[m]] == ""
            keepers.append(m)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 60), st.integers(0, 10_000))
def test_policy_order_equals_sorting_tuples(n: int, seed: int) -> None:
    members = members_of(["x " * (i % 3) for i in range(n)], Scheme(bands=1, rows=1), seed)
    order = policy_order(members, ("quality", "date", "length", "id"), newest=True)

    def key(i: int) -> tuple:
        date = int(members.date[i])
        unknown = date == NO_DATE
        return (members.failed_rules[i], unknown, 0 if unknown else -date, -members.length[i], members.id_rank[i])

    assert order.tolist() == sorted(range(n), key=key)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([-1.5, 0.0, 2.0, float("nan")]), max_size=30), st.integers(0, 100))
def test_other_values_order_least_first_and_unknown_last(values: list[float], seed: int) -> None:
    members = members_of(["x " * (i % 3) for i in range(len(values))], Scheme(bands=1, rows=1), seed)
    order = policy_order(members, ("length", "cost", "id"), newest=True, others={"cost": np.array(values)})

    def key(i: int) -> tuple:
        unknown = values[i] != values[i]
        return (-members.length[i], unknown, 0 if unknown else values[i], members.id_rank[i])

    assert order.tolist() == sorted(range(len(values)), key=key)


def test_a_chain_does_not_remove_its_end() -> None:
    """A is like B and B like C, but C is not like A: with A kept, C stays."""
    words = [f"w{i}" for i in range(130)]
    texts = [" ".join(words[:100]), " ".join(words[10:110]), " ".join(words[20:120])]
    members = members_of(texts, Scheme(shingle=1))._replace(id_rank=np.arange(3))
    election = elect(members, policy_order(members, ("id",), True), 0.8)
    assert election.keeper.tolist() == [0, 0, 2]
    assert np.isclose(election.similarity[1], 90 / 110)


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(np.uint32, st.integers(0, 60), elements=st.integers(0, 90), unique=True),
    hnp.arrays(np.uint32, st.integers(0, 60), elements=st.integers(0, 90), unique=True),
    st.sampled_from([0, 5, 20]),
)
def test_similarity_of_sketches(one: np.ndarray, other: np.ndarray, cut: int) -> None:
    """Whole sketches give Jaccard exactly; cut ones that of the hashes up to the smaller limit."""
    sketches = [np.sort(one), np.sort(other)]
    kept = [s[:cut] if cut else s for s in sketches]
    offsets = np.cumsum([0, *(len(s) for s in kept)])
    shingles = np.array([len(s) for s in sketches], np.int32)
    limits = [int(k[-1]) for k, s in zip(kept, sketches) if len(k) < len(s)]
    limit = min(limits, default=1 << 32)
    a, b = ({x for x in s.tolist() if x <= limit} for s in sketches)
    expected = jaccard(a, b) if len(one) and len(other) else 0.0
    got = similarity(np.concatenate(kept).astype(np.uint32), offsets, shingles, 0, 1)
    assert np.isclose(got, expected)


def test_sizes_never_exclude_what_reaches_the_threshold() -> None:
    """A part of a document has the similarity small / large, also where threshold * large rounds up: 0.55 * 20 > 11."""
    for large in range(1, 200):
        for small in range(1, large + 1):
            sizes = np.array([small, large], np.int32)
            values = np.r_[np.arange(small), np.arange(large)].astype(np.uint32)
            reached = similarity(values, np.array([0, small, small + large]), sizes, 0, 1)
            assert may_reach(sizes, 0, 1, round(small / large, 2)) == (reached >= round(small / large, 2))
    assert not may_reach(np.zeros(2, np.int32), 0, 1, 0.5)


def test_a_cut_sketch_estimates_within_its_stated_error() -> None:
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(200):
        union = rng.permutation(np.unique(rng.integers(0, 2**32, 6000).astype(np.uint32)))
        a, b = np.sort(union[: len(union) * 9 // 10]), np.sort(rng.permutation(union)[: len(union) * 9 // 10])
        exact = len(np.intersect1d(a, b)) / len(np.union1d(a, b))
        values, k = np.concatenate([a[:512], b[:512]]), 512
        shingles = np.array([len(a), len(b)], np.int32)
        errors.append(similarity(values, np.array([0, k, 2 * k]), shingles, 0, 1) - exact)
    assert np.std(errors) < 1.15 * np.sqrt(0.8 * 0.2 / 512)
    assert abs(np.mean(errors)) < 0.004


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=80))
def test_components_equal_networkx(pairs: list[tuple[int, int]]) -> None:
    spread = np.uint64(1 << 57)
    edges = Edges(*(np.array([p[i] for p in pairs], np.uint64) * spread for i in (0, 1)))
    numbers, labels = components(edges)
    graph = nx.Graph(pairs)
    expected = {node: min(part) for part in nx.connected_components(graph) for node in part}
    assert {int(o // spread): int(v // spread) for o, v in zip(numbers, labels)} == expected
    assert numbers.tolist() == sorted(numbers.tolist())


def test_cluster_sizes_count_documents_and_dumps() -> None:
    size, dumps = cluster_sizes(np.array([0, 0, 2, 0, 4, 4]), np.array([0, 1, 0, 1, 2, 2], np.int32))
    assert size.tolist() == [3, 3, 1, 3, 2, 2]
    assert dumps.tolist() == [2, 2, 1, 2, 1, 1]


def test_short_and_empty_documents() -> None:
    """Fewer words than a shingle: equal normalised words are duplicates. No words: equal bytes are."""
    texts = ["Hello, World", "hello world!", "hello there", "", "", "!!!", "???", "!!!"]
    members = members_of(texts, Scheme())._replace(id_rank=np.arange(len(texts)))
    election = elect(members, policy_order(members, ("id",), True), 0.8)
    assert election.keeper.tolist() == [0, 0, 2, 3, 3, 5, 6, 5]
    assert [LEVELS[level] for level in election.level] == ["", "near", "", "", "exact", "", "", "exact"]


def test_a_very_long_document_is_signed_whole() -> None:
    """A million words, one changed in the middle: no limit cuts a document, and the two are found alike."""
    words = np.char.mod("w%d", np.arange(1_000_000) % 900_001)
    texts = [" ".join(words), " ".join([*words[:500_000], "changed", *words[500_001:]]), "w1 w2 w3 w4 w5 w6"]
    members = members_of(texts, Scheme())._replace(id_rank=np.arange(3))
    assert members.signatures.shingles[0] > 890_000
    election = elect(members, policy_order(members, ("id",), True), 0.8)
    assert election.keeper.tolist() == [0, 0, 2]
    assert 0.9999 < election.similarity[1] < 1
    cut = members_of(texts, Scheme(sketch_size=1024))._replace(id_rank=np.arange(3))
    assert np.diff(cut.signatures.offsets).tolist() == [1024, 1024, 2]
    assert elect(cut, policy_order(cut, ("id",), True), 0.8).keeper.tolist() == [0, 0, 2]


def test_a_crowded_bucket_is_compared_up_to_the_limit() -> None:
    """Five unlike keepers in one bucket, then a copy of the last: found unless the limit is below its place."""
    n = 6
    offsets = np.arange(n + 1) * 3
    values = np.array([1, 2, 3, 1, 4, 5, 1, 6, 7, 1, 8, 9, 1, 10, 11, 1, 10, 11], np.uint32)
    signatures = Signatures(np.full((n, 1), 9, np.uint64), values, offsets, np.full(n, 3, np.int32))
    members = members_of([f"t{i}" for i in range(n)], Scheme(bands=1, rows=1))
    members = members._replace(signatures=signatures, id_rank=np.arange(n))
    order = policy_order(members, ("id",), True)
    assert elect(members, order, 0.8, most_compared=5).keeper[5] == 4
    assert elect(members, order, 0.8, most_compared=4).keeper[5] == 5


def test_hashes_of_urls() -> None:
    hashes = url_hashes(pa.array(["https://WWW.e.org:443/A/#top", "http://e.org/A", "http://e.org/A?x=1", None]))
    assert hashes.tolist() == [xxhash.xxh3_64_intdigest(key) for key in (b"e.org/A", b"e.org/A", b"e.org/A?x=1")] + [0]
