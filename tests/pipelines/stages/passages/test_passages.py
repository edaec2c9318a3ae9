"""Deduplication at string level through the stages: equal to the answer in memory however it is cut, and redone only
where needed."""

import random
import tracemalloc
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import spans
from corpus.document import SCHEMA
from corpus.errors import CorruptShard
from corpus.io import table
from corpus.kernels.words import words_of
from corpus.passages.cuts import Limits
from corpus.passages.in_memory import repeated_passages
from corpus.passages.ngrams import minimizer_set
from pipelines.config.passages import PassageParameters
from pipelines.engine import cluster, run_task
from pipelines.engine.pipeline import StageResult
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, NotPlanned, Stage, Task, Upstream
from pipelines.stages.passages import ngrams, stages
from pipelines.stages.passages.stages import passage_stages
from tests.pipelines.run_stages import run_each

KEEP = pa.schema([("id", pa.string()), ("keep", pa.bool_())])
Row = dict[str, Any]
Dumps = dict[str, list[list[Row]]]


@pytest.fixture(autouse=True)
def _small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that ranges begin and end inside files, and with so little memory that keys of a shard are written in
    several goes, and counted in several windows."""
    rows_per_group(monkeypatch, 32)
    budget_of(monkeypatch, 12_000)


def rows_per_group(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Row groups of keys and positions have at most so many rows."""
    monkeypatch.setattr("corpus.io.sorted_runs.ROWS_PER_GROUP", rows)


def budget_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A task holds so many bytes."""
    monkeypatch.setattr(stages, "PROCESS_BYTES", PassageParameters().memory_bytes - size)


def corpus(seed: int, documents: int = 60) -> list[Row]:
    """Documents made of some paragraphs of their own and some that others have too, English and Chinese."""
    chance = random.Random(seed)
    english = [f"{'ing '.join(chance.sample('abcdefghijklmnopqrstuvwxyz', 16))}." for _ in range(12)]
    chinese = ["".join(chr(0x4E00 + chance.randrange(800)) for _ in range(18)) + "。" for _ in range(8)]
    rows = []
    for number in range(documents):
        own = [f"Page {number} says {chance.randrange(10**9)} of {chance.randrange(10**9)}." for _ in range(3)]
        parts = [*chance.sample(english, 3), *chance.sample(chinese, 2), *own, "Share this page", "关于我们 联系方式"]
        chance.shuffle(parts)
        site = f"site{number % 3}.org" if number % 7 else None
        rows.append(_row(number, ("\n" if number % 2 else " ").join(parts), site, number % 5 != 4, number % 11 != 10))
    return rows


def _row(number: int, text: str, site: str | None, unique: bool = True, good: bool = True) -> Row:
    mark = f"{number:032x}"
    described = {"language": "en", "language_score": 1.0, "lid_en": 1.0, "lid_zh": 0.0, "file": "f", "offset": 0}
    length = len(text.encode())
    return described | {"id": mark, "text": text, "site": site, "length": length, "unique": unique, "good": good}


def cut_up(rows: list[Row], sizes: list[int]) -> Dumps:
    """Dumps of two shards each, with so many documents."""
    dumps: Dumps = {}
    at = 0
    for number, size in enumerate(sizes):
        dumps.setdefault(f"D{number // 2}", []).append(rows[at : at + size])
        at += size
    assert at == len(rows)
    return dumps


def write(root: Path, dumps: Dumps) -> Upstream:
    """The tables of the earlier stages, and the tasks that stand for them."""
    upstream = Upstream()
    for stage, kept in (("documents", ""), ("duplicates", "unique"), ("verdicts", "good")):
        schema = KEEP if kept else SCHEMA
        tasks, counts = [], []
        for dump, shards in dumps.items():
            for number, rows in enumerate(shards):
                shard = ShardRef(dump, number)
                columns = [{name: (row | {"keep": row.get(kept)}).get(name) for name in schema.names} for row in rows]
                content = pa.Table.from_pylist(columns, schema)
                with table.ShardWriter(str(root / shard.below(stage)), schema) as writer:
                    for at in range(0, len(content), 4):
                        writer.write(content.slice(at, 4))
                fingerprint = f"{shard} {sorted((row['id'], row['text']) for row in rows)}"
                tasks.append(Task(stage, shard.below(stage), (), {}, fingerprint))
                counts.append(Counts(documents=len(rows)))
        upstream.add(stage, tasks, counts)
    return upstream


def run(root: Path, dumps: Dumps, **section: Any) -> dict[str, StageResult]:
    """Run the stages in this process; fail where a task fails."""
    parameters = PassageParameters(**{"words": 16, "least": 0} | section)
    return run_each(passage_stages(str(root), parameters), write(root, dumps))


def found(root: Path, dumps: Dumps) -> dict[str, list[tuple[int, int, str]]]:
    """The spans of every document, by id."""
    rows = []
    for dump, shards in dumps.items():
        for number, documents in enumerate(shards):
            part = table.read_table(str(root / f"passages/dump={dump}/{number:05d}.parquet"))
            assert part["id"].to_pylist() == [row["id"] for row in documents]
            rows += part.to_pylist()
    return {row["id"]: [(span["start"], span["end"], span["kind"]) for span in row["spans"]] for row in rows}


def cut(row: Row, of: dict[str, list[tuple[int, int, str]]]) -> str:
    """A document's text without its spans."""
    listed = [{"start": a, "end": b, "kind": kind} for a, b, kind in of[row["id"]]]
    one = pa.table({"id": [row["id"]], "spans": [listed]}, spans.SCHEMA)
    return spans.cut(pa.array([row["text"]], pa.large_string()), [one], {}).to_pylist()[0]


NO_LINES = {"line_documents": 10**6}


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_the_answer_in_memory(tmp_path: Path, seed: int) -> None:
    rows = corpus(seed)
    dumps = cut_up(rows, [13, 17, 8, 12, 0, 10])
    results = run(tmp_path, dumps, partitions=3, **NO_LINES)
    kept = [row for row in rows if row["unique"] and row["good"]]
    texts = pa.table({"id": [row["id"] for row in kept], "text": pa.array([row["text"] for row in kept])})
    [expected] = repeated_passages(lambda: [texts], Limits(16, 5, 0))
    of = found(tmp_path, dumps)
    wanted = {
        row["id"]: [(span["start"], span["end"], span["kind"]) for span in row["spans"]] for row in expected.to_pylist()
    }
    assert {key: value for key, value in of.items() if value} == {key: value for key, value in wanted.items() if value}
    assert sum(map(len, wanted.values())) > 50
    counts = results["passages"].counts
    assert counts["documents"] == len(kept)
    assert counts["bytes"] == sum(row["length"] for row in kept)
    cuts = counts["languages"]["en"]["cut"]["passage"]
    assert cuts["bytes"] == sum(end - start for spans in wanted.values() for start, end, _ in spans)
    assert cuts["documents"] == sum(map(bool, wanted.values()))


def test_the_same_spans_for_any_partitions_groups_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dumps = cut_up(corpus(5), [13, 17, 8, 12, 0, 10])
    answers = []
    for number, (partitions, shards, budget) in enumerate(
        ((1, 64, 1 << 30), (2, 1, 1 << 30), (7, 2, 9000), (1, 64, 2500))
    ):
        root = tmp_path / str(number)
        budget_of(monkeypatch, budget)
        run(root, dumps, partitions=partitions, shards_per_group=shards, line_documents=4)
        answers.append({str(path.relative_to(root)): table.read_table(str(path)) for path in root.glob("passages/*/*")})
        assert {kind for spans in found(root, dumps).values() for _, _, kind in spans} == {"passage", "line"}
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert len(answers[0]) == 6


COUNTING = ("repeated_minimizers", "repeated_ngrams", "boilerplate")  # the stages that know something of every key
SORTING = "repeat_positions"  # the stage that has to order whatever repeats in a group


def words_of_chance(chance: random.Random, count: int) -> str:
    """So many words that nobody else says."""
    return " ".join(str(chance.randrange(10**6)) for _ in range(count))


def answers_and_peaks(
    root: Path, monkeypatch: pytest.MonkeyPatch, budget: int, dumps: Dumps, **section: Any
) -> tuple[dict[str, list[tuple[int, int, str]]], Counter[str]]:
    """The spans found with so much memory, and what a task of each stage took at most."""
    peaks: Counter[str] = Counter()

    def traced(stage: Stage[Any], task: Task) -> run_task.Outcome:
        tracemalloc.start()
        outcome = run_task.execute(stage, task)
        peaks[stage.name] = max(peaks[stage.name], tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        return outcome

    monkeypatch.setattr(cluster, "execute", traced)
    budget_of(monkeypatch, budget)
    run(root / str(budget), dumps, line_documents=4, line_share=0.001, **section)
    return found(root / str(budget), dumps), peaks


def test_memory_follows_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the counting of keys takes at most is the budget, and what a row group of them takes."""
    rows_per_group(monkeypatch, 2048)
    chance = random.Random(3)
    shared = [words_of_chance(chance, 40) for _ in range(200)]
    own = [[words_of_chance(chance, 30) for _ in range(3)] for _ in range(700)]
    rows = [_row(n, "\n".join([*lines, shared[n % 200]]), f"site{n % 2}.org") for n, lines in enumerate(own)]
    dumps = cut_up(rows, [300, 400])
    ample, most = answers_and_peaks(tmp_path, monkeypatch, 1 << 30, dumps)
    scant, least = answers_and_peaks(tmp_path, monkeypatch, 100_000, dumps)
    assert ample == scant
    assert sum(map(len, ample.values())) == 500
    assert max(least[name] for name in COUNTING) < 100_000 + 300_000
    assert max(most[name] for name in COUNTING) > 1_000_000


def test_memory_of_a_site_that_is_in_many_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each group it has few lines, in a row group with those of sites whose keys are anywhere."""
    rows_per_group(monkeypatch, 1 << 16)
    chance = random.Random(4)
    notices = [words_of_chance(chance, 8) for _ in range(6)]
    rows = []
    for number in range(320):
        lines = [words_of_chance(chance, 3) for _ in range(35)]
        lines.insert(chance.randrange(35), notices[number % 6])
        rows.append(_row(number, "\n".join(lines), "large.org" if number % 8 else f"small{number}.org"))
    dumps = cut_up(rows, [16] * 20)
    ample, most = answers_and_peaks(tmp_path, monkeypatch, 1 << 30, dumps, shards_per_group=1, words=500)
    scant, least = answers_and_peaks(tmp_path, monkeypatch, 100_000, dumps, shards_per_group=1, words=500)
    assert ample == scant
    assert sum(map(len, ample.values())) == 280 - len(notices)  # all but the first of each
    assert least["boilerplate"] < 100_000 + 300_000
    assert most["boilerplate"] > 1_000_000


def test_one_table_of_minimizers_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[weakref.ref[np.ndarray]] = []
    alone: list[bool] = []

    def watched(keys: np.ndarray) -> np.ndarray:
        alone.append(not any(table() is not None for table in tables))
        made = minimizer_set(keys)
        tables.append(weakref.ref(made))
        return made

    monkeypatch.setattr(ngrams, "minimizer_set", watched)
    budget_of(monkeypatch, 2500)
    run(tmp_path, cut_up(corpus(5), [30, 30]))
    assert len(alone) > 1
    assert all(alone)


def test_positions_of_a_group_are_sorted_as_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group with far more positions than fit in memory, in row groups that other groups have rows in too."""
    rows_per_group(monkeypatch, 2048)
    chance = random.Random(6)
    passage = words_of_chance(chance, 400)
    rows = [_row(number, passage, None) for number in range(200)]
    dumps = cut_up(rows, [20, 180])
    ample, most = answers_and_peaks(tmp_path, monkeypatch, 1 << 30, dumps, shards_per_group=1)
    scant, least = answers_and_peaks(tmp_path, monkeypatch, 100_000, dumps, shards_per_group=1)
    assert ample == scant
    assert sum(map(len, ample.values())) == 199
    assert least[SORTING] < 100_000 + 300_000
    assert most[SORTING] > 1_000_000


def test_a_frequent_site_has_row_groups_of_its_own(tmp_path: Path) -> None:
    run(tmp_path, cut_up(corpus(5), [13, 17, 8, 12, 0, 10]))
    files = [pq.ParquetFile(path) for path in (tmp_path / "dedup/site_lines").rglob("*.parquet")]
    groups = [file.read_row_group(n)["site"].to_pylist() for file in files for n in range(file.num_row_groups)]
    assert len(groups) > 10
    for sites in groups:
        assert len(set(sites)) == 1 or max(Counter(sites).values()) <= 4  # an eighth of a row group


def test_positions_are_by_number_in_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of a source that takes no part, or that were set aside, have no numbers."""
    rows_per_group(monkeypatch, 1 << 16)
    passage = " ".join(f"w{i}" for i in range(16))
    shards = [[_row(10 * shard + number, passage, None) for number in range(3)] for shard in range(4)]
    upstream = write(tmp_path, {"code": shards[:1], "A": shards[1:3], "B": shards[3:]})
    upstream.add("verdicts", [task for task in upstream["verdicts"] if task.shard != ShardRef("A", 0)])
    run_each(passage_stages(str(tmp_path), PassageParameters(words=16, exclude=("code",))), upstream)
    repeats = table.read_table(str(tmp_path / "dedup/repeated_ngrams/00000.parquet"))
    assert repeats.to_pydict() == {"number": [1, 2, 3, 4, 5], "position": [0] * 5}
    for dump, numbers in (("A", [1, 2]), ("B", [3, 4, 5])):
        of_group = table.read_table(str(tmp_path / f"dedup/repeat_positions/dump={dump}/00000.parquet"))
        assert of_group["number"].to_pylist() == numbers


def test_boilerplate_is_counted_by_site(tmp_path: Path) -> None:
    rows = corpus(1)
    dumps = cut_up(rows, [13, 17, 8, 12, 0, 10])
    run(tmp_path, dumps, words=500, partitions=3, line_documents=5, line_share=0.3, line_bytes=9)
    of = found(tmp_path, dumps)
    owners: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    sizes: Counter[str] = Counter()
    kept = [row for row in rows if row["unique"] and row["good"] and row["site"]]
    for row in kept:
        sizes[row["site"]] += 1
        for line in {tuple(word for word, _ in words_of(line)) for line in row["text"].split("\n")} - {()}:
            owners.setdefault((row["site"], line), []).append(row["id"])
    for row in rows:
        gone = set()
        for (site, line), ids in owners.items():
            enough = len(ids) >= 5 and len(ids) >= 0.3 * sizes[site] and sum(len(word.encode()) for word in line) >= 9
            if site == row["site"] and row["id"] in ids[1:] and enough:
                gone.add(line)
        lines = [tuple(word for word, _ in words_of(line)) for line in row["text"].split("\n")]
        left = [tuple(word for word, _ in words_of(line)) for line in cut(row, of).split("\n")]
        assert [line for line in left if line] == [line for line in lines if line not in gone]
    kinds = {kind for spans in of.values() for _, _, kind in spans}
    assert kinds == {"line"}


def test_documents_that_are_not_kept_neither_lose_nor_cause(tmp_path: Path) -> None:
    passage = " ".join(f"w{i}" for i in range(20))
    rows = [_row(0, f"a {passage}", None, unique=False), _row(1, f"b {passage}", None), _row(2, f"c {passage} d", None)]
    rows.append(_row(3, f"e {passage} f", None, good=False))
    dumps = {"A": [rows[:1], rows[1:]]}
    run(tmp_path, dumps)
    assert [cut(row, found(tmp_path, dumps)) for row in rows] == [
        *(row["text"] for row in rows[:2]),
        "c d",
        rows[3]["text"],
    ]


def test_an_excluded_source_is_left_as_it_is(tmp_path: Path) -> None:
    passage = " ".join(f"w{i}" for i in range(20))
    dumps = {"code": [[_row(0, passage, None)]], "A": [[_row(1, passage, None), _row(2, f"{passage} x", None)]]}
    run(tmp_path, dumps, exclude=("code",), partitions=2)
    assert [cut(row, found(tmp_path, dumps)) for shards in dumps.values() for row in shards[0]] == [
        passage,
        passage,
        "x",
    ]


def test_only_what_depends_on_a_change_is_redone(tmp_path: Path) -> None:
    dumps = cut_up(corpus(2), [13, 17, 8, 12, 0, 10])
    run(tmp_path, dumps)
    again = run(tmp_path, dumps)
    assert all(result.done_before == result.tasks for result in again.values())
    changed = run(tmp_path, dumps, line_share=0.5)
    redone = {name for name, result in changed.items() if result.done_before < result.tasks}
    assert redone == {"boilerplate", "repeat_positions", "passages"}
    grown = {**dumps, "D9": [[_row(99, corpus(2)[0]["text"], None)]]}
    added = run(tmp_path, grown, line_share=0.5)
    assert added["minimizers"].done_before == added["site_lines"].done_before == added["minimizers"].tasks - 1
    assert cut(grown["D9"][0][0], found(tmp_path, grown)).count("ing") == 0
    before = {key: value for key, value in found(tmp_path, grown).items() if key != f"{99:032x}"}
    run(tmp_path, dumps, line_share=0.5)
    assert found(tmp_path, dumps) == before  # what was first stays first


def test_a_missing_partition_stops_the_run(tmp_path: Path) -> None:
    """Without a partition, passages that repeat would look new."""
    stages = {stage.name: stage for stage in passage_stages(str(tmp_path), PassageParameters(partitions=3))}
    upstream = write(tmp_path, cut_up(corpus(2), [60]))
    upstream.add("minimizers", stages["minimizers"].plan(upstream))
    upstream.add("repeated_minimizers", stages["repeated_minimizers"].plan(upstream)[:2])
    with pytest.raises(NotPlanned, match="needs all 3 parts of repeated_minimizers, and has 2"):
        stages["ngram_keys"].plan(upstream)


def test_verdicts_of_other_documents_are_refused(tmp_path: Path) -> None:
    dumps = cut_up(corpus(2), [60])
    upstream = write(tmp_path, dumps)
    [minimizers] = [stage for stage in passage_stages(str(tmp_path), PassageParameters()) if stage.name == "minimizers"]
    path = str(tmp_path / "verdicts/dump=D0/00000.parquet")
    rows = table.read_table(path)
    with table.ShardWriter(path, KEEP) as writer:
        writer.write(rows.take([1, 0, *range(2, 60)]))
    with pytest.raises(CorruptShard, match=r"verdicts/dump=D0/00000\.parquet.*ids are not those"):
        minimizers.run(minimizers.plan(upstream)[0])


def test_a_shard_with_other_documents_than_were_counted_is_refused(tmp_path: Path) -> None:
    dumps = cut_up(corpus(2), [30, 30])
    run(tmp_path, dumps)
    upstream = write(tmp_path, dumps)
    [*_, passages] = passage_stages(str(tmp_path), PassageParameters())
    upstream.add(
        "repeat_positions", [Task("repeat_positions", "dedup/repeat_positions/dump=D0/00000.parquet", (), {}, "")]
    )
    task = passages.plan(upstream)[1]
    for folder in ("documents", "duplicates", "verdicts"):
        path = str(tmp_path / folder / "dump=D0/00001.parquet")
        rows = table.read_table(path)
        with table.ShardWriter(path, rows.schema) as writer:
            writer.write(rows.slice(1))
    with pytest.raises(CorruptShard, match=r"documents/dump=D0/00001\.parquet.*not the 30 documents"):
        passages.run(task)
