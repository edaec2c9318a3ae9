"""Connected components over files: equal to one union-find in memory, however documents and edges are cut."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.bands import Edges, sort_edges
from corpus.dedup.components import components
from corpus.errors import HeadwaterError
from corpus.io import sorted_runs, table
from pipelines.engine.stage import NoParameters, Source
from pipelines.stages.dedup.components import ComponentStage, LocalComponentStage, RangeParameters, label_path
from pipelines.stages.dedup.edges import edge_writer
from pipelines.stages.dedup.partitions import number_ranges


@pytest.fixture(autouse=True)
def _small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_runs, "ROWS_PER_GROUP", 7)


def prepare(root: Path, pairs: Sequence[tuple[int, int]], files: int) -> list[Source]:
    """A run up to its candidates: the edges dealt over files."""
    made: list[Source] = []
    for stage, share in (("exact_edges", pairs[::3]), ("candidate_edges", [p for i, p in enumerate(pairs) if i % 3])):
        for part in range(files):
            some = np.array([sorted(pair) for pair in share[part::files]], np.uint64).reshape(-1, 2)
            made.append(Source(f"dedup/{stage}/{part:05d}.parquet", "", stage))
            with edge_writer(str(root / made[-1].path)) as writer:
                writer.append_sorted(sort_edges(Edges(some[:, 0], some[:, 1])))
    return made


def find(root: Path, count: int, edges: Sequence[Source], cuts: Sequence[int]) -> dict[int, int]:
    """The component of every document that has a neighbour, by the stages, with ranges that end at the cuts."""
    ranges = sorted({0, count, *cuts})
    local = LocalComponentStage(str(root), RangeParameters(shards_per_group=1, budget=1))
    tasks = [
        local.task(f"dedup/local_components/{part:05d}.parquet", edges, partition=part, ranges=ranges)
        for part in range(len(ranges) - 1)
    ]
    for task in tasks:
        local.run(task)
    stage = ComponentStage(str(root), NoParameters())
    counts = stage.run(stage.task(stage.output, tasks, ranges=ranges))
    found: dict[int, int] = {}
    for part, end in enumerate(ranges[1:]):
        rows = table.read_table(str(root / label_path(part)))
        own = [(n, c) for n, c in zip(*(column.to_pylist() for column in rows.columns)) if n < end]
        assert [n for n, _ in own] == sorted(n for n, _ in own)
        found.update(own)
    assert counts["documents"] == len(found)
    assert counts["components"] == len(set(found.values()))
    return found


def by_union_find(pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
    graph = nx.Graph(pairs)
    return {node: min(part) for part in nx.connected_components(graph) for node in part}


@st.composite
def graphs(draw: Any) -> tuple[int, list[tuple[int, int]]]:
    """Random pairs, a path, a star, or cliques, over numbers dealt at random."""
    count = draw(st.integers(2, 120))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    names = rng.permutation(count).tolist()
    kind = draw(st.sampled_from(["random", "path", "star", "cliques", "in order"]))
    if kind == "random":
        pairs = [tuple(rng.choice(count, 2, replace=False).tolist()) for _ in range(draw(st.integers(0, 2 * count)))]
    elif kind in ("path", "in order"):
        names = sorted(names) if kind == "in order" else names
        pairs = list(pairwise(names))
    elif kind == "star":
        pairs = [(names[0], other) for other in names[1:]]
    else:
        size = draw(st.integers(2, 6))
        parts = [names[at : at + size] for at in range(0, count, size)]
        pairs = [(a, b) for part in parts for i, a in enumerate(part) for b in part[:i]]
    return count, pairs


@settings(max_examples=40, deadline=None)
@given(graphs(), st.lists(st.integers(1, 119), max_size=6), st.integers(1, 3))
def test_equal_to_union_find(
    tmp_path_factory: pytest.TempPathFactory, graph: tuple[int, list[tuple[int, int]]], cuts: list[int], files: int
) -> None:
    count, pairs = graph
    cuts = [cut for cut in cuts if cut < count]
    root = tmp_path_factory.mktemp("run")
    expected = by_union_find(pairs)
    assert find(root, count, prepare(root, pairs, files), cuts) == expected
    ends = np.array(pairs, np.uint64).reshape(-1, 2)
    documents, labels = components(Edges(ends.min(axis=1, initial=2**63), ends.max(axis=1, initial=0)))
    assert dict(zip(documents.tolist(), labels.tolist())) == expected


def test_a_long_path_through_many_ranges(tmp_path: Path) -> None:
    """A path that visits the ranges in random order, hundreds of times each: the worst for what passes labels on."""
    names = np.random.default_rng(1).permutation(2000).tolist()
    edges = prepare(tmp_path, list(pairwise(names)), 2)
    assert find(tmp_path, 2000, edges, range(0, 2000, 250)) == dict.fromkeys(range(2000), 0)


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_killed_sweep_goes_on_with_its_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at each of its writes in turn, the task makes every round once and ends with the same bytes."""
    pairs, cuts = list(zip(range(90), range(7, 97))), [20, 40, 60, 80]
    for root in (tmp_path / "whole", tmp_path / "killed"):
        edges = prepare(root, pairs, 1)
    expected = find(tmp_path / "whole", 100, edges, cuts)
    write, made, allowed = table.ShardWriter.__exit__, [], 1

    def one_more(self: table.ShardWriter, *error: Any) -> None:
        nonlocal allowed
        if "/components/" in self.path and allowed == 0:
            write(self, Killed, Killed(), None)
            raise Killed
        write(self, *error)
        if "/components/" in self.path:
            made.append(self.path)
            allowed -= 1

    monkeypatch.setattr(table.ShardWriter, "__exit__", one_more)
    for _ in range(10):
        allowed = 1
        try:
            find(tmp_path / "killed", 100, edges, cuts)
        except Killed:
            continue
    allowed = 100
    assert find(tmp_path / "killed", 100, edges, cuts) == expected
    assert len(made) == len(set(made)) == 10
    for path in sorted((tmp_path / "whole/dedup/components").iterdir()):
        assert path.read_bytes() == (tmp_path / "killed/dedup/components" / path.name).read_bytes()


def test_ranges_are_whole_groups_within_the_budget() -> None:
    assert number_ranges([5, 5, 5, 1, 9], 12 * 11) == [0, 10, 25 - 9, 25]
    assert number_ranges([], 12) == [0, 0]
    with pytest.raises(HeadwaterError, match=r"9 x 12 bytes .* may hold 96; raise dedup.memory_bytes"):
        number_ranges([5, 9], 96)
