"""Plain files on a command line: every kind, with and without ids, good and bad rows."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd

from corpus.errors import UsageError
from pipelines.commands.inputs import Inputs

ROWS = [{"id": "a", "text": "one\n二"}, {"id": "b", "text": ""}, {"id": "c", "text": "three", "extra": [1]}]


def _read(*files: Path, **columns: str) -> tuple[list[tuple[str, str]], list[str]]:
    inputs = Inputs([str(file) for file in files], **columns)
    rows = [(row["id"], row["text"]) for batch in inputs.batches() for row in batch.to_pylist()]
    return rows, inputs.bad


def _jsonl(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_jsonl(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.jsonl{suffix}"
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}[suffix]
    path.write_bytes(pack(_jsonl(ROWS)))
    assert _read(path) == ([(str(row["id"]), str(row["text"])) for row in ROWS], [])


def test_ids_that_are_numbers_or_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(_jsonl([{"id": 7, "text": "x"}, {"text": "y"}]))
    assert _read(path) == ([("7", "x"), (f"{path}:1", "y")], [])
    table = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["x", "y"]}), table)
    assert _read(table) == ([(f"{table}:0", "x"), (f"{table}:1", "y")], [])
    pq.write_table(pa.table({"id": pa.array([5, None]), "text": ["x", "y"]}), table)
    assert _read(table) == ([("5", "x"), (f"{table}:1", "y")], [])


def test_bad_rows_are_told_and_the_others_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(_jsonl(ROWS[:1]) + b'{"id": "b", "te\n' + _jsonl([{"id": "n"}]) + _jsonl(ROWS[2:]))
    rows, bad = _read(path)
    assert [row[0] for row in rows] == ["a", "c"]
    assert len(bad) == 2
    assert "bad-line" in bad[0]
    assert "no-text" in bad[1]


def test_a_cut_archive_gives_what_precedes_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    whole = gzip.compress(_jsonl([{"id": str(i), "text": f"{i * 7919 % 10007} " * 20} for i in range(3000)]))
    path.write_bytes(whole[: len(whole) // 2])
    rows, bad = _read(path)
    assert 100 < len(rows) < 3000
    assert [row[0] for row in rows] == [str(i) for i in range(len(rows))]
    assert len(bad) == 1
    assert "truncated" in bad[0]


def test_other_columns_text_files_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"key": ["k"], "body": ["b"]}), path)
    assert _read(path, text_column="body", id_column="key") == ([("k", "b")], [])
    with pytest.raises(UsageError, match="no column 'text'; it has key, body; use --text-column"):
        _read(path)
    text = tmp_path / "x.txt"
    text.write_text("whole file\n")
    assert _read(text) == ([(f"{text}:0", "whole file\n")], [])
    with pytest.raises(UsageError, match="not a source that can be read"):
        _read(tmp_path / "x.pdf")


def test_lone_surrogates_become_replacement_characters(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "a", "text": "x\\ud800y"}\n')
    assert _read(path) == ([("a", "x\ufffdy")], [])
