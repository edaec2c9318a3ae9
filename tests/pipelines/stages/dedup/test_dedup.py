"""Deduplication through the stages: equal to the in-memory answer however it is cut, and redone only where needed."""

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from rich.console import Console

from corpus.dedup.in_memory import deduplicate_signed, sign_table
from corpus.dedup.keepers import LEVELS
from corpus.dedup.minhash import Scheme
from corpus.document import SCHEMA
from corpus.errors import CorruptShard, HeadwaterError
from corpus.io import sorted_runs, storage, table
from pipelines.config.dedup import DedupParameters
from pipelines.engine import pipeline
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.stages.dedup import edges
from pipelines.stages.dedup import stages as dedup_room
from pipelines.stages.dedup.duplicates import DuplicateStage
from pipelines.stages.dedup.stages import dedup_stages

VERDICTS = pa.schema([("id", pa.string()), ("keep", pa.bool_()), ("reasons", pa.list_(pa.string()))])


@pytest.fixture(autouse=True)
def _small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that every range of keys and of numbers begins and ends inside row groups."""
    monkeypatch.setattr(sorted_runs, "ROWS_PER_GROUP", 4)


class Corpus(BaseModel):
    """Documents by dump and shard; a document is a dict of columns."""

    dumps: dict[str, list[list[dict[str, Any]]]]


class Documents(Stage[Corpus]):
    """Writes documents/dump=D/N.parquet from what it is given, in row groups of three."""

    name: ClassVar[str] = "documents"
    phase: ClassVar[str] = "extract"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        stage = type(self)(self.root, Corpus(dumps={}))
        return [
            stage.task(f"documents/dump={dump}/{number:05d}.parquet", [], rows=rows, dump=dump)
            for dump, shards in self.parameters.dumps.items()
            for number, rows in enumerate(shards)
        ]

    def run(self, task: Task) -> Counts:
        rows = pa.Table.from_pylist([complete(row) for row in task.arguments["rows"]], SCHEMA)
        with table.ShardWriter(self.path(task.output), SCHEMA) as writer:
            for at in range(0, len(rows), 3):
                writer.write(rows.slice(at, 3))
            writer.metadata = task.stamp({"documents": len(rows)})
        return {"documents": len(rows)}


class Verdicts(Stage[Corpus]):
    """Writes verdicts/dump=D/N.parquet; a document fails as many rules as its `failed` says."""

    name: ClassVar[str] = "verdicts"
    phase: ClassVar[str] = "filter"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        return [
            self.task(task.output.replace("documents/", "verdicts/"), [task], rows=task.arguments["rows"])
            for task in done["documents"]
        ]

    def run(self, task: Task) -> Counts:
        rows = [
            {"id": r["id"], "keep": not r.get("failed"), "reasons": ["r"] * n}
            for r in task.arguments["rows"]
            for n in [r.get("failed", 0)]
        ]
        with table.ShardWriter(self.path(task.output), VERDICTS) as writer:
            writer.write(pa.Table.from_pylist(rows, VERDICTS))
            writer.metadata = task.stamp({})
        return {}


def complete(row: dict[str, Any]) -> dict[str, Any]:
    filled = {"language": "en", "language_score": 1.0, "lid_en": 1.0, "lid_zh": 0.0, "file": "f", "offset": 0}
    wanted = {name: value for name, value in row.items() if name in SCHEMA.names}
    return {**filled, "length": len(row["text"].encode()), "site": row.get("site", "example.org"), **wanted}


def run(root: Path, dumps: dict, verdicts: bool = False, **parameters: Any) -> dict[str, pipeline.StageResult]:
    """Run everything that is to do; the results by stage."""
    section = DedupParameters(**parameters)
    corpus = Corpus(dumps=dumps)
    stages: list[Stage] = [Documents(str(root), corpus)]
    stages += [Verdicts(str(root), Corpus(dumps={}))] if verdicts else []
    stages += dedup_stages(str(root), section)
    results = pipeline.run(stages, Console(file=StringIO()), verify=False, on_ray=False)
    return {result.stage: result for result in results}


def duplicates_of(root: Path, dumps: dict) -> pa.Table:
    paths = [f"{root}/duplicates/dump={d}/{n:05d}.parquet" for d, shards in dumps.items() for n in range(len(shards))]
    return pa.concat_tables([table.read_table(path) for path in paths]).combine_chunks()


def cut(texts: Sequence[str], shape: Sequence[int]) -> dict[str, list[list[dict[str, Any]]]]:
    """Deal documents to dumps of shards: shape[i] documents in the i-th shard, two shards a dump."""
    rows = [{"id": f"{(i * 7919) % 1009:032x}", "text": text, "site": f"s{i % 3}"} for i, text in enumerate(texts)]
    dumps: dict[str, list[list[dict[str, Any]]]] = {}
    at = 0
    for shard, size in enumerate([*shape, len(rows)]):
        dumps.setdefault(f"D{shard // 2}", []).append(rows[at : at + size])
        at = min(len(rows), at + size)
    return dumps


def near_copies(seed: int, count: int) -> list[str]:
    """Texts of 60 words in families, in which copies differ by a few words; some are equal, some empty or short."""
    rng = np.random.default_rng(seed)
    texts = []
    for family in range(count // 6):
        base = [f"w{family}x{i}" for i in range(60)]
        for _ in range(4):
            copy = list(base)
            for place in rng.integers(0, 60, rng.integers(0, 4)):
                copy[place] = f"other{rng.integers(100)}"
            texts.append(" ".join(copy))
        texts += [["", "short one", "Short, one!"][rng.integers(3)], " ".join(base)]
    return [texts[i] for i in rng.permutation(len(texts))]


def in_memory(dumps: dict, threshold: float, policy: tuple) -> pa.Table:
    """The answer of `corpus.dedup.in_memory` on the same documents, in the columns of the duplicates table."""
    scheme = Scheme()
    tables = [
        pa.Table.from_pylist([complete(row) for shard in shards for row in shard], SCHEMA) for shards in dumps.values()
    ]
    ids, election, _ = deduplicate_signed([sign_table(t, scheme) for t in tables], scheme, threshold, policy)
    keeper = ids.take(pa.array(election.keeper)).to_pylist()
    return pa.table(
        {
            "keep": election.level == 0,
            "level": [LEVELS[level] or None for level in election.level],
            "cluster": keeper,
            "similarity": [None if level == 0 else s for level, s in zip(election.level, election.similarity)],
        }
    )


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 9), min_size=1, max_size=5), st.sampled_from([1, 2, 5]))
def test_the_answer_does_not_depend_on_how_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shape: list[int], partitions: int
) -> None:
    root = tmp_path_factory.mktemp("run")
    dumps = cut(near_copies(seed, 30), shape)
    results = run(root, dumps, partitions=partitions, keep=("length", "id"))
    assert not any(result.failed for result in results.values())
    got, expected = duplicates_of(root, dumps), in_memory(dumps, 0.8, ("length", "id"))
    assert got["id"].to_pylist() == [row["id"] for shards in dumps.values() for shard in shards for row in shard]
    for name in ("keep", "level", "cluster"):
        assert got[name].to_pylist() == expected[name].to_pylist()
    assert np.allclose(got["similarity"].drop_null(), expected["similarity"].drop_null())
    assert got["duplicate_of"].to_pylist() == [
        None if keep else keeper for keep, keeper in zip(got["keep"].to_pylist(), got["cluster"].to_pylist())
    ]
    sizes: dict[str, int] = {}
    for row in got.to_pylist():
        sizes[row["cluster"]] = sizes.get(row["cluster"], 0) + 1
    assert all(row["cluster_size"] == sizes[row["cluster"]] for row in got.to_pylist())


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 9), min_size=1, max_size=3), st.integers(18000, 24000))
def test_a_few_kilobytes_are_enough(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shape: list[int], budget: int
) -> None:
    """Many partitions, ranges and runs, buckets that are streamed, components elected in parts: the same are kept."""
    root = tmp_path_factory.mktemp("run")
    dumps = cut(near_copies(seed, 30), shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup_room, "PROCESS_BYTES", (2 << 30) - budget)
        patch.setattr(edges, "KEY_BYTES", 4000)  # so that a key of two documents does not fit
        results = run(root, dumps, keep=("length", "id"), shards_per_group=1)
    assert [result.failed for result in results.values() if result.failed] == []
    assert results["candidate_edges"].tasks > 1
    rows = duplicates_of(root, dumps).to_pylist()
    assert [row["keep"] for row in rows] == in_memory(dumps, 0.8, ("length", "id"))["keep"].to_pylist()
    kept = {row["id"] for row in rows if row["keep"]}
    assert all(row["duplicate_of"] in kept and row["similarity"] >= 0.8 for row in rows if not row["keep"])


@pytest.mark.parametrize("waiting", [0, 12, 1 << 20])
def test_curve_counts_by_brute_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int) -> None:
    monkeypatch.setattr("pipelines.stages.dedup.dedup_rate._ROWS_WAITING", waiting)
    dumps = cut(near_copies(5, 60), [10, 12, 9, 11])
    run(tmp_path, dumps, keep=("length", "id"))
    value = storage.read_json(str(tmp_path / "dedup/dedup_rate.json"))
    by_id = {row["id"]: row for row in duplicates_of(tmp_path, dumps).to_pylist()}
    seen: list[dict] = []
    for place, (dump, shards) in enumerate(dumps.items()):
        seen += [by_id[row["id"]] for shard in shards for row in shard]
        groups = len({row["cluster"] for row in seen})
        point = value["curve"][place]
        assert point == {
            "dumps": place + 1,
            "dump": dump,
            "documents": len(seen),
            "groups": groups,
            "rate": round(1 - groups / len(seen), 6),
        }
        levels = [by_id[row["id"]]["level"] for shard in shards for row in shard]
        assert value["by_dump"][place]["removed"] == {
            name: levels.count(name) for name in ("exact", "near", "takedown", "url")
        }
    sites = {row["site"]: (row["documents"], row["removed"]) for row in value["sites"]}
    for site, counted in sites.items():
        rows = [r for shards in dumps.values() for shard in shards for r in shard if r["site"] == site]
        assert counted == (len(rows), sum(not by_id[r["id"]]["keep"] for r in rows))
    keepers = [row for row in by_id.values() if row["keep"]]
    assert sum(value["clusters_by_size"].values()) == len(keepers)
    assert value["counts"]["documents"] == len(by_id)
    assert all(row["cluster_dumps"] <= min(3, row["cluster_size"]) for row in keepers)


def test_a_dump_that_is_set_aside_keeps_its_place_in_the_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dumps = cut(near_copies(5, 60), [10, 12, 9, 11])
    run(tmp_path / "whole", dumps)
    whole = storage.read_json(str(tmp_path / "whole/dedup/dedup_rate.json"))
    duplicates = DuplicateStage.run

    def refuse(self: DuplicateStage, task: Task) -> Counts:
        if "dump=D1" in task.output:
            raise CorruptShard(task.output, "is refused here")
        return duplicates(self, task)

    monkeypatch.setattr(DuplicateStage, "run", refuse)
    run(tmp_path / "part", dumps)
    part = storage.read_json(str(tmp_path / "part/dedup/dedup_rate.json"))
    assert [(point["dumps"], point["dump"]) for point in part["curve"]] == [(1, "D0"), (3, "D2")]
    assert part["by_dump"] == [row for row in whole["by_dump"] if row["dump"] != "D1"]
    assert part["curve"][0]["documents"] == whole["curve"][0]["documents"]
    assert sum(row["kept"] for row in part["by_dump"]) == part["curve"][1]["groups"]


@pytest.mark.parametrize("wrong", [{"bands": 1024}, {"memory_bytes": (16 << 30) + 1}])
def test_what_the_formats_cannot_hold_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="less than or equal"):
        DedupParameters(**wrong)


def test_only_what_depends_on_a_change_is_redone(tmp_path: Path) -> None:
    dumps = cut(near_copies(1, 30), [8, 7, 9])
    first = run(tmp_path, dumps, keep=("length", "id"))
    assert all(result.done_before == 0 for result in first.values())
    again = run(tmp_path, dumps, keep=("length", "id"))
    assert all(result.done_before == result.tasks for result in again.values())
    stricter = run(tmp_path, dumps, keep=("length", "id"), threshold=0.9)
    for name in ("signatures", "exact_keys", "exact_edges", "band_keys", "candidate_edges", "components", "members"):
        assert stricter[name].done_before == stricter[name].tasks
    assert stricter["keepers"].done_before == 0
    grown = {**dumps, "D9": [[{"id": "f" * 32, "text": near_copies(1, 30)[0]}]]}
    added = run(tmp_path, grown, keep=("length", "id"), threshold=0.9)
    for name in ("signatures", "exact_keys"):
        assert added[name].done_before == added[name].tasks - 1
    assert added["candidate_edges"].done_before == 0


def test_in_dump_order_what_was_kept_stays(tmp_path: Path) -> None:
    """With the policy `dump` first, adding dumps never changes the fate of a document of an earlier dump."""
    dumps = cut(near_copies(2, 48), [12, 8, 10, 9])
    earlier: dict[str, str] = {}
    for k in range(1, len(dumps) + 1):
        part = dict(list(dumps.items())[:k])
        run(tmp_path, part, keep=("dump", "length", "id"))
        now = {row["id"]: row["cluster"] for row in duplicates_of(tmp_path, part).to_pylist()}
        assert {i: now[i] for i in earlier} == earlier
        earlier = now


def test_quality_comes_from_the_verdicts(tmp_path: Path) -> None:
    text = " ".join(f"w{i}" for i in range(50))
    dumps = {"A": [[{"id": "1" * 32, "text": text + " tail", "failed": 2}], [{"id": "2" * 32, "text": text}]]}
    run(tmp_path, dumps, verdicts=True)
    assert duplicates_of(tmp_path, dumps)["duplicate_of"].to_pylist() == ["2" * 32, None]
    run(tmp_path, dumps, verdicts=True, keep=("length", "id"))
    assert duplicates_of(tmp_path, dumps)["duplicate_of"].to_pylist() == [None, "1" * 32]


def test_verdicts_of_other_documents_are_refused(tmp_path: Path) -> None:
    text = " ".join(f"w{i}" for i in range(50))
    rows = [{"id": "1" * 32, "text": text}, {"id": "2" * 32, "text": text}]
    run(tmp_path, {"A": [rows]}, verdicts=True)
    verdicts = str(tmp_path / "verdicts/dump=A/00000.parquet")
    swapped = table.read_table(verdicts).take([1, 0])
    with table.ShardWriter(verdicts, VERDICTS) as writer:
        writer.write(swapped)
    [members] = [s for s in dedup_stages(str(tmp_path), DedupParameters()) if s.name == "members"]
    inputs = ("signatures/dump=A/00000.parquet", "verdicts/dump=A/00000.parquet", "dedup/components.json")
    sources = ("signatures", "verdicts", "components")
    arguments = {"span": (0, 2), "range": 0}
    with pytest.raises(CorruptShard, match=r"verdicts/dump=A/00000\.parquet.*ids are not those"):
        members.run(Task("members", "dedup/members/dump=A/00000.parquet", inputs, arguments, "f", sources))


@pytest.mark.parametrize(
    ("failing", "waiting"),
    [
        ("exact_keys", "exact_edges"),
        ("exact_edges", "band_keys"),
        ("candidate_edges", "local_components"),
        ("keepers", "keepers_by_shard"),
    ],
)
def test_a_missing_partition_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, waiting: str
) -> None:
    """Without a partition, documents that have duplicates would look unique."""
    kind = next(type(s) for s in dedup_stages(str(tmp_path), DedupParameters()) if s.name == failing)
    work = kind.run

    def fail_once(self: Any, task: Task) -> Counts:
        if task.output.endswith("/00001.parquet"):
            raise HeadwaterError("no")
        return work(self, task)

    monkeypatch.setattr(kind, "run", fail_once)
    results = run(tmp_path, cut(near_copies(4, 12), [4]), partitions=3, shards_per_group=1)
    assert f"needs all {results[failing].tasks} parts of {failing}" in results[waiting].failed[0]["message"]
    assert not (tmp_path / "duplicates").exists()


def test_a_truncated_signature_shard_is_made_again(tmp_path: Path) -> None:
    dumps = cut(near_copies(3, 30), [8, 7])
    run(tmp_path, dumps, keep=("length", "id"))
    expected = duplicates_of(tmp_path, dumps)
    shard = tmp_path / "signatures/dump=D0/00000.parquet"
    raw = shard.read_bytes()
    shard.write_bytes(raw[: len(raw) // 2])
    results = run(tmp_path, dumps, keep=("length", "id"), threshold=0.81)
    assert results["signatures"].done_before == results["signatures"].tasks - 1
    assert shard.read_bytes() == raw
    run(tmp_path, dumps, keep=("length", "id"))
    assert duplicates_of(tmp_path, dumps).equals(expected)


def test_urls_of_a_kept_page(tmp_path: Path) -> None:
    def page(i: int, day: int) -> dict[str, Any]:
        words = " ".join(f"{i}word{j}" for j in range(30))
        return {"id": f"{i:032x}", "text": words, "url": "https://www.example.org/a/", "date": f"2024-01-0{day}"}

    rows = [page(i, day) for i, day in ((1, 1), (2, 3), (3, 2))]
    for row in rows:
        row["date"] = int(np.datetime64(row["date"], "ms").astype(int))
    run(tmp_path, {"A": [rows]}, urls=True)
    got = duplicates_of(tmp_path, {"A": [rows]})
    assert got["duplicate_of"].to_pylist() == [f"{2:032x}", None, f"{2:032x}"]
    assert got["level"].to_pylist() == ["url", None, "url"]
    run(tmp_path, {"A": [rows]})
    assert duplicates_of(tmp_path, {"A": [rows]})["keep"].to_pylist() == [True] * 3


def test_a_stored_signature_loads_into_datasketch(tmp_path: Path) -> None:
    dumps = {"A": [[{"id": f"{i:032x}", "text": text} for i, text in enumerate(near_copies(6, 12))]]}
    run(tmp_path, dumps, minima=True)
    rows = table.read_table(str(tmp_path / "signatures/dump=A/00000.parquet"))
    stored = rows["minima"].to_pylist()
    loaded = [MinHash(num_perm=100, seed=1, scheme="affine32", hashvalues=values) for values in stored]
    for sketch, signature in zip(rows["sketch"].to_pylist(), loaded):
        again = MinHash(num_perm=100, seed=1, scheme="affine32", hashfunc=lambda value: value)
        again.update_batch(np.frombuffer(sketch, np.uint32))
        assert again == signature
    assert loaded[0].jaccard(loaded[1]) == np.mean(np.array(stored[0]) == np.array(stored[1]))


def test_bands_that_miss_the_recall_are_refused() -> None:
    with pytest.raises(ValidationError, match="bands: 20 with rows: 5 would do"):
        DedupParameters(bands=14, rows=8)


def test_the_list_of_stages_is_that_of_the_stages() -> None:
    """What the module says of its stages names each of them, in order."""
    text = dedup_room.__doc__ or ""
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("    ")]
    assert listed == [stage.name for stage in dedup_stages("", DedupParameters())]
