"""`headwater dedup` on plain files."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cli import main

WORDS = [f"word{i}" for i in range(100)]
NEAR = [*WORDS[:97], "x", "y", "z"]  # 93 of 99 shingles of five words in common, so Jaccard 92/100 or so
FAR = [*WORDS[:50], *(f"other{i}" for i in range(50))]


def write(path: Path, rows: list[tuple[str, list[str]]]) -> str:
    path.write_text("".join(json.dumps({"id": name, "text": " ".join(words)}) + "\n" for name, words in rows))
    return str(path)


def test_a_row_per_document_in_input_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path / "1.jsonl", [("a", NEAR), ("b", FAR), ("c", WORDS)])
    two = str(tmp_path / "2.parquet")
    pq.write_table(pa.table({"id": ["d", "e"], "text": [" ".join(WORDS), ""]}), two)
    assert main(["dedup", one, two, "--out", str(tmp_path / "out"), "--keep", "id"]) == 0
    assert "5 documents" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "out/duplicates.parquet").to_pylist()
    assert [r["id"] for r in rows] == ["a", "b", "c", "d", "e"]
    assert [r["keep"] for r in rows] == [True, True, False, False, True]
    assert [r["duplicate_of"] for r in rows] == [None, None, "a", "a", None]
    assert [r["level"] for r in rows] == [None, None, "near", "near", None]
    assert [r["cluster_size"] for r in rows] == [3, 1, 3, 3, 1]
    assert rows[2]["similarity"] == pytest.approx(93 / 99)


def test_policy_order_and_threshold(tmp_path: Path) -> None:
    files = write(tmp_path / "1.jsonl", [("b", WORDS), ("a", NEAR), ("c", WORDS)])
    out = str(tmp_path / "out")
    assert main(["dedup", files, "--out", out, "--keep", "order", "--workers", "1"]) == 0
    rows = pq.read_table(f"{out}/duplicates.parquet").to_pylist()
    assert [(r["duplicate_of"], r["level"]) for r in rows] == [(None, None), ("b", "near"), ("b", "exact")]
    assert main(["dedup", files, "--out", out, "--threshold", "0.99"]) == 0
    assert pq.read_table(f"{out}/duplicates.parquet")["keep"].to_pylist() == [True, True, False]


def test_the_same_bytes_for_any_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.io.line_blocks._BLOCK", 2000)
    monkeypatch.setattr("corpus.io.plain_files._BATCH_BYTES", 2000)
    files = [
        write(tmp_path / f"{n}.jsonl", [(f"{n}-{i}", WORDS[i:] if i % 3 else NEAR) for i in range(20)]) for n in "ab"
    ]
    results = []
    for workers in ("1", "3"):
        assert main(["dedup", *files, "--out", str(tmp_path / workers), "--workers", workers]) == 0
        results.append((tmp_path / workers / "duplicates.parquet").read_bytes())
    assert results[0] == results[1]


def test_no_documents(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    assert main(["dedup", str(tmp_path / "empty.jsonl"), "--out", str(tmp_path / "out")]) == 0
    assert pq.read_table(tmp_path / "out/duplicates.parquet").num_rows == 0


def test_curve(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dedup", "curve", "--threshold", "0.7"]) == 0
    printed = capsys.readouterr().out
    assert "0.70" in printed
    assert "find pairs at 0.7 with 0.999" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "date", "--out", "unused"], "--keep date: there are length, id, order (a column is given with"),
        (["--keep", "lenght,id", "--out", "unused"], "--keep lenght: did you mean `length`?"),
        (["--keep", "score:high", "--out", "unused"], "--keep score:high: did you mean `highest`?"),
        (["--keep", "score:", "--out", "unused"], "write COLUMN: and one of highest, lowest, newest, oldest"),
        (["--keep", ":newest", "--out", "unused"], "--keep :newest: "),
        (["--threshold", "1.5"], "above 0, up to 1"),
        (["--bands", "4"], "--bands and --rows go together"),
        (["--bands", "0", "--rows", "5"], "both are 1 or more"),
        (["--threshold", "0.01"], "higher threshold"),
        ([], "say with --out"),
    ],
)
def test_mistakes_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    files = write(tmp_path / "1.jsonl", [("a", WORDS)])
    assert main(["dedup", files, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_option_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["dedup", "curve", "--treshold", "0.7"])
    assert "dedup has no option --treshold; did you mean `--threshold`?" in capsys.readouterr().err
