"""Adding dumps and taking documents away: what is read, what stays, and who stands for what is left."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.io import storage, table
from pipelines.config.recipe import validate
from pipelines.results.summary import summary
from tests.pipelines.stages.dedup.test_dedup import cut, duplicates_of, near_copies, run

Dumps = dict[str, list[list[dict[str, Any]]]]


def removed(root: Path, dumps: Dumps) -> int:
    return duplicates_of(root, dumps)["keep"].to_pylist().count(False)


def first(dumps: Dumps, count: int) -> Dumps:
    return dict(list(dumps.items())[:count])


@pytest.mark.parametrize("quality", [False, True])
def test_appending_one_by_one_is_all_at_once(tmp_path: Path, quality: bool) -> None:
    """No state: what is published is a function of the dumps' order. And what was published stays published."""
    dumps = cut(near_copies(2, 60), [12, 8, 14, 9, 7])
    rng = np.random.default_rng(4)
    for row in (row for shards in dumps.values() for shard in shards for row in shard):
        row["failed"] = int(quality and rng.integers(3) == 0)
    published: set[str] = set()
    for k in range(1, len(dumps) + 1):
        run(tmp_path / "grown", first(dumps, k), verdicts=True, mode="append")
        good = {row["id"] for shards in dumps.values() for shard in shards for row in shard if not row["failed"]}
        now = {
            row["id"] for row in duplicates_of(tmp_path / "grown", first(dumps, k)).to_pylist() if row["keep"]
        } & good
        assert published <= now
        published = now
    run(tmp_path / "once", dumps, verdicts=True, mode="append")
    assert duplicates_of(tmp_path / "once", dumps).equals(duplicates_of(tmp_path / "grown", dumps))
    for path in sorted((tmp_path / "once/duplicates").rglob("*.parquet")):
        assert path.read_bytes() == (tmp_path / "grown" / path.relative_to(tmp_path / "once")).read_bytes()


def test_a_document_that_the_filters_drop_stands_for_none_that_they_keep(tmp_path: Path) -> None:
    text = " ".join(f"w{i}" for i in range(50))
    dumps: Dumps = {"A": [[{"id": "1" * 32, "text": text, "failed": 1}]], "B": [[{"id": "2" * 32, "text": text}]]}
    run(tmp_path, dumps, verdicts=True, mode="append")
    assert duplicates_of(tmp_path, dumps)["duplicate_of"].to_pylist() == ["2" * 32, None]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 25), min_size=1, max_size=5))
def test_append_and_global_remove_equally_many(
    tmp_path_factory: pytest.TempPathFactory, seed: int, shape: list[int]
) -> None:
    """Where what is like the same is alike, both keep one of each kind. Chains are what makes a difference at all; how
    much on real pages is held by test_dumps.py."""
    root = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(seed)
    texts = []
    for family in rng.integers(0, 20, 80):  # copies differ from each other in two words of 200 at most: J >= 0.9
        words = [f"w{family}x{i}" for i in range(200)]
        words[rng.integers(200)] = f"other{rng.integers(100)}"
        texts.append(" ".join(words))
    dumps = cut(texts, shape)
    run(root / "append", dumps, mode="append")
    run(root / "global", dumps, mode="global")
    assert removed(root / "append", dumps) == removed(root / "global", dumps) > 40


def test_adding_a_dump_reads_no_text_of_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their texts are overwritten with rubbish, their signatures not made again, and every byte read is counted."""
    dumps = cut([f"{text} {'and so on ' * 40}" for text in near_copies(8, 90)], [25, 20, 25, 15])
    run(tmp_path / "once", dumps)
    run(tmp_path / "grown", first(dumps, 2))
    old = sorted((tmp_path / "grown/documents").rglob("*.parquet"))
    for path in old:
        poison(path)
    signed = {p: p.stat().st_mtime_ns for p in (tmp_path / "grown/signatures").rglob("*.parquet")}
    read = count_reads(monkeypatch)
    results = run(tmp_path / "grown", dumps)
    assert not any(result.failed for result in results.values())
    assert results["signatures"].done_before == len(signed) == 4
    assert all(path.stat().st_mtime_ns == when for path, when in signed.items())
    assert duplicates_of(tmp_path / "grown", dumps).equals(duplicates_of(tmp_path / "once", dumps))
    read_of = {path: read.get(str(path), 0) for path in (tmp_path / "grown").rglob("*.parquet")}
    assert [read_of[path] for path in old] == [0] * 4
    fresh = [path for path in read_of if "documents" in path.parts and path not in old]
    assert fresh
    assert all(read_of[path] > 0 for path in [*fresh, *signed])


def poison(path: Path) -> None:
    """Overwrite the bytes of the column `text`; the footer, and with it the fingerprint, stays."""
    raw = bytearray(path.read_bytes())
    with pq.ParquetFile(path) as file:
        place = file.schema_arrow.get_field_index("text")
        for group in range(file.num_row_groups):
            column = file.metadata.row_group(group).column(place)
            start = column.dictionary_page_offset or column.data_page_offset
            raw[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(bytes(raw))
    with pytest.raises((OSError, table.CorruptShard)):
        table.read_table(str(path), ["text"])


def count_reads(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Bytes of columns read from here on, by file; footers are not counted."""
    read: dict[str, int] = {}
    opened = table.open_shard

    class Counted:
        def __init__(self, path: str) -> None:
            self.path, self.file = path, opened(path)

        def __enter__(self) -> "Counted":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def _count(self, groups: Any, columns: list[str] | None) -> None:
            for group in groups:
                described = self.file.metadata.row_group(group)
                for place in range(described.num_columns):
                    column = described.column(place)
                    if columns is None or column.path_in_schema.split(".")[0] in columns:
                        read[self.path] = read.get(self.path, 0) + column.total_compressed_size

        def read(self, columns: list[str] | None = None, **options: Any) -> Any:
            self._count(range(self.file.num_row_groups), columns)
            return self.file.read(columns=columns, **options)

        def read_row_group(self, group: int, columns: list[str] | None = None, **options: Any) -> Any:
            self._count([group], columns)
            return self.file.read_row_group(group, columns=columns, **options)

        def read_row_groups(self, groups: list[int], columns: list[str] | None = None, **options: Any) -> Any:
            self._count(groups, columns)
            return self.file.read_row_groups(groups, columns=columns, **options)

    monkeypatch.setattr(table, "open_shard", Counted)
    return read


@pytest.mark.parametrize(
    "takedown",
    [{"sites": ["s1"]}, {"urls": ["https://*.org/private/*"]}, {"sources": ["D1"]}, {"ids": [f"{7919 % 1009:032x}"]}],
)
def test_a_takedown_elects_keepers_among_the_rest(tmp_path: Path, takedown: dict[str, list[str]]) -> None:
    """As if the documents had never been there; no text is read for it, nor a signature made."""
    dumps = cut(near_copies(11, 90), [25, 20, 25, 15])
    for place, row in enumerate(row for shards in dumps.values() for shard in shards for row in shard):
        row["url"] = f"https://example.org/{'private' if place % 4 == 0 else 'open'}/{place}"
    run(tmp_path / "taken", dumps)
    before = {row["id"]: row for row in duplicates_of(tmp_path / "taken", dumps).to_pylist()}
    for path in (tmp_path / "taken/documents").rglob("*.parquet"):
        poison(path)
    results = run(tmp_path / "taken", dumps, takedown=takedown)
    assert results["signatures"].done_before == results["signatures"].tasks
    assert not any(result.failed for result in results.values())
    after = {row["id"]: row for row in duplicates_of(tmp_path / "taken", dumps).to_pylist()}

    def named(dump: str, row: dict[str, Any]) -> bool:
        private = "/private/" in row["url"] and "urls" in takedown
        listed = (dump, row["site"], row["id"])
        return private or any(listed[i] in takedown.get(k, []) for i, k in enumerate(("sources", "sites", "ids")))

    gone = {r["id"] for dump, shards in dumps.items() for shard in shards for r in shard if named(dump, r)}
    [rule] = [f"{kind}: {value}" for kind, values in takedown.items() for value in values]
    assert storage.read_json(str(tmp_path / "taken/dedup/dedup_rate.json"))["takedown"] == {rule: len(gone)}
    assert gone
    assert len(gone) < len(after)
    for name in gone:
        assert (after[name]["keep"], after[name]["level"], after[name]["duplicate_of"]) == (False, "takedown", None)
    left = {d: [[r for r in shard if r["id"] not in gone] for shard in shards] for d, shards in dumps.items()}
    run(tmp_path / "without", left)
    rest = {row["id"]: row for row in duplicates_of(tmp_path / "without", left).to_pylist()}
    assert {name: row for name, row in after.items() if name not in gone} == rest
    if "ids" not in takedown:
        bereaved = [row for name, row in before.items() if name not in gone and row["duplicate_of"] in gone]
        assert any(rest[row["id"]]["keep"] for row in bereaved)


def test_a_rule_that_names_no_document_is_said_at_the_end(tmp_path: Path) -> None:
    dumps = cut(near_copies(11, 20), [5, 5, 5, 5])
    run(tmp_path, dumps, takedown={"sites": ["s1", "exmaple.org"], "sources": ["D7"], "urls": ["*nowhere*"]})
    inputs = [{"files": ["unused"], "name": "D0"}]
    recipe = validate({"name": "x", "root": str(tmp_path), "inputs": inputs}, "here")
    lines = [line for line in summary(recipe) if "takedown" in line]
    assert [line.split(";")[0].split("named by ")[1] for line in lines] == [
        "sites: exmaple.org",
        "sources: D7",
        "urls: *nowhere*",
    ]


def test_of_many_rules_that_name_no_document_the_first_are_said(tmp_path: Path) -> None:
    recipe = validate({"name": "x", "root": str(tmp_path), "inputs": [{"files": ["unused"], "name": "D0"}]}, "here")
    for count, more in ((5, []), (40_005, ["nor by 40,000 more ids"])):
        takedown = {f"ids: {number:05d}": 0 for number in range(count)} | {"sites: a.org": 3, "sites: b.org": 0}
        storage.write_json(str(tmp_path / "dedup/dedup_rate.json"), {"curve": [], "takedown": takedown})
        lines = [line.split(";")[0].removeprefix("dedup.takedown: ") for line in summary(recipe) if "takedown" in line]
        named = [f"no document is named by ids: {number:05d}" for number in range(5)]
        assert lines == [*named, *more, "no document is named by sites: b.org"]


def test_without_a_dump_keepers_are_elected_among_the_rest(tmp_path: Path) -> None:
    """Taking a dump out of the recipe's inputs is the same as naming it in a takedown."""
    dumps = cut(near_copies(12, 60), [15, 10, 15, 9])
    run(tmp_path / "all", dumps)
    rest = {name: shards for name, shards in dumps.items() if name != "D0"}
    run(tmp_path / "all", rest)
    run(tmp_path / "named", dumps, takedown={"sources": ["D0"]})
    assert duplicates_of(tmp_path / "all", rest).equals(duplicates_of(tmp_path / "named", rest))
