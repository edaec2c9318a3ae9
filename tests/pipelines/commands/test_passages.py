"""`headwater passages` on plain files."""

import json
from pathlib import Path

import pytest

from corpus import spans
from corpus.io import table
from pipelines.cli import main

PASSAGE = "The archive keeps what every crawler found, year after year, and nobody reads all of it."


def test_the_first_place_keeps_the_passage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"One. {PASSAGE} Two.", "Alone.", PASSAGE, f"数据。{PASSAGE} 三 {'四' * 20}", ""]
    lines = [json.dumps({"id": f"d{number}", "text": text}) for number, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines[:2]) + "\n")
    (tmp_path / "b.jsonl").write_text("\n".join(lines[2:]) + "\nno json\n")
    out = tmp_path / "out"
    status = main(["passages", str(tmp_path / "*.jsonl"), "--out", str(out), "--words", "16", "--least", "4"])
    assert status == 1  # one row is set aside
    rows = table.read_table(str(out / "passages.parquet"))
    assert rows.schema.equals(spans.SCHEMA)
    found = [[(span["start"], span["end"], span["kind"]) for span in row] for row in rows["spans"].to_pylist()]
    last = len("数据。".encode())
    assert rows["id"].to_pylist() == ["d0", "d1", "d2", "d3", "d4"]
    assert found == [[], [], [(0, len(PASSAGE), "rest")], [(last, last + len(PASSAGE) + 1, "passage")], []]
    left = table.read_table(str(out / "documents.parquet"))
    assert left.to_pylist() == [
        {"id": "d0", "text": texts[0]},
        {"id": "d1", "text": "Alone."},
        {"id": "d3", "text": f"数据。三 {'四' * 20}"},
        {"id": "d4", "text": ""},
    ]
    said = capsys.readouterr()
    assert "5 documents" in said.out
    assert "in 2 of them repeat; 4 have text left" in said.out
    assert said.err.count("set aside") == 1


@pytest.mark.parametrize("option", [["--words", "0"], ["--least", "-1"]])
def test_wrong_numbers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    (tmp_path / "a.txt").write_text("a")
    assert main(["passages", str(tmp_path / "a.txt"), "--out", str(tmp_path), *option]) == 2
    assert option[0] in capsys.readouterr().err
