"""`headwater filter` on plain files: one row a document, its own ids, reasons with values, exit statuses."""

import json
from pathlib import Path
from typing import Any

import jieba
import pyarrow.parquet as pq
import pytest

from corpus.errors import UsageError
from corpus.language import find_model
from corpus.linguistic.measure import SIGNALS
from pipelines.cli import main

PROSE = (
    "The committee met in the old town hall to discuss what should be done with the bridge that had carried "
    "travellers over the river for two hundred years. Some of them wanted to have it repaired, and others said "
    "that a new one would cost less and be safer. After a long evening they agreed to ask an engineer."
)
ZH = (
    "委员会在旧市政厅开会，讨论应该怎样处理那座两百年来一直供旅客过河的桥。有的人希望把它修好，也有人说造一座新的"
    "更便宜更安全。经过漫长的一晚，他们同意去请教一位工程师。他的报告将在明年春天公布。"
)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    path = tmp_path / "pages.jsonl"
    rows: list[dict[str, Any]] = [{"id": "one", "text": PROSE}, {"text": "short"}, {"id": "zh", "text": ZH}]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def rows_of(out: Path) -> list[dict[str, Any]]:
    table = pq.read_table(out / "quality.parquet")
    assert table.column_names == ["id", "language", "keep", "reasons", *SIGNALS]
    return table.to_pylist()


def test_a_row_a_document(pages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", str(pages), "--language", "en", "--out", str(tmp_path / "out")]) == 0
    first, second, third = rows_of(tmp_path / "out")
    assert (first["id"], first["language"], first["keep"], first["reasons"]) == ("one", "en", True, [])
    assert second["id"].endswith("pages.jsonl:1")
    assert "words 1 < 50" in second["reasons"]
    assert (third["words"], third["keep"]) == (len([word for word in jieba.cut(ZH) if word not in "，。"]), False)
    assert "kept 1 of 3 documents" in capsys.readouterr().out


def test_thresholds_of_the_command_line(pages: Path, tmp_path: Path) -> None:
    rules = ["words:1:", "stop_words_en:off", "top_3_gram::2", "mean_word_length:off"]
    options = [option for rule in rules for option in ("--threshold", rule)]
    assert main(["filter", str(pages), "--language", "en", "--out", str(tmp_path / "out"), *options]) == 0
    assert [row["keep"] for row in rows_of(tmp_path / "out")][:2] == [True, True]


@pytest.mark.parametrize("rule", ["words", "words:a:b", "words::", "words:3:2", "words:nan:", "wrds:1:2"])
def test_wrong_thresholds_are_refused(
    pages: Path, tmp_path: Path, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["filter", str(pages), "--language", "en", "--out", str(tmp_path), "--threshold", rule]) == 2
    assert "--threshold" in capsys.readouterr().err
    assert not (tmp_path / "quality.parquet").exists()


def test_languages_are_identified(pages: Path, tmp_path: Path) -> None:
    try:
        find_model()
    except UsageError as error:
        pytest.skip(str(error))
    assert main(["filter", str(pages), "--out", str(tmp_path / "out")]) == 0
    first, _, third = rows_of(tmp_path / "out")
    assert [(row["language"], row["keep"]) for row in (first, third)] == [("en", True), ("zh", True)]


def test_a_broken_row_is_set_aside(pages: Path, tmp_path: Path) -> None:
    with pages.open("a", encoding="utf-8") as file:
        file.write("not json\n")
    assert main(["filter", str(pages), "--language", "en", "--out", str(tmp_path / "out")]) == 1
    assert len(rows_of(tmp_path / "out")) == 3
