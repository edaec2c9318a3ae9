"""Safety in a run: spans of personal data, verdicts on trades and lists of places."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from corpus.io import table
from pipelines.config.recipe import Recipe, validate
from pipelines.engine import pipeline
from pipelines.stages import stages_of

ROWS = [
    ("https://fine.org/a", "Write to jane.doe@bar-corp.io or call 138-0013-8000 about the bridge over the river."),
    ("https://casino.net/a", "Best online casino! Free spins, no deposit bonus, live casino, betting odds."),
    ("https://www.blocked.com/a", "The committee met in the old town hall to talk about the bridge."),
    ("https://good.blocked.com/a", "The committee met in the old town hall and talked of the bridge."),
    ("https://private.org/me/a", "The committee met in the new town hall to talk about the bridge."),
]


def recipe(folder: Path, **safety: object) -> Recipe:
    rows = [json.dumps({"url": url, "text": text}) for url, text in ROWS]
    (folder / "pages.jsonl").write_text("\n".join(rows))
    (folder / "block.txt").write_text("blocked.com\n")
    (folder / "allow.txt").write_text("good.blocked.com\n")
    (folder / "out.txt").write_text("private.org/me\n")
    columns = {"text": "text", "url": "url"}
    source = {"files": [str(folder / "pages.jsonl")], "name": "pages", "columns": columns, "language": "en"}
    value = {"name": "t", "root": str(folder / "root"), "inputs": [source | {"rules": "none"}], "safety": safety}
    return validate(value, "test")


def run(recipe: Recipe) -> dict[str, int]:
    results = pipeline.run(stages_of(recipe, "filter"), Console(quiet=True), verify=True, on_ray=False)
    assert not any(result.failed for result in results)
    return {result.stage: result.tasks - result.done_before for result in results}


def reasons(folder: Path) -> list[list[str]]:
    return table.read_table(str(folder / "root/verdicts/dump=pages/00000.parquet"))["reasons"].to_pylist()


def test_personal_data_are_spans(tmp_path: Path) -> None:
    run(recipe(tmp_path))
    rows = table.read_table(str(tmp_path / "root/personal/dump=pages/00000.parquet")).to_pylist()
    text = ROWS[0][1].encode()
    found = [(span["kind"], text[span["start"] : span["end"]].decode()) for span in rows[0]["spans"]]
    assert found == [("email", "jane.doe@bar-corp.io"), ("phone", "138-0013-8000")]
    assert not any(row["spans"] for row in rows[1:])
    assert run(recipe(tmp_path, personal=["phone"]))["personal"] == 1
    rows = table.read_table(str(tmp_path / "root/personal/dump=pages/00000.parquet")).to_pylist()
    assert [span["kind"] for span in rows[0]["spans"]] == ["phone"]


def test_masks_are_the_recipes(tmp_path: Path) -> None:
    assert recipe(tmp_path, personal=["ip", "email"], masks={"ip": ""}).safety.replacements == {
        "ip": "",
        "email": "<email>",
    }


def test_trades_and_lists_are_reasons(tmp_path: Path) -> None:
    run(recipe(tmp_path))
    assert [[reason.split()[0] for reason in given] for given in reasons(tmp_path)] == [
        [],
        ["gambling_share"],
        [],
        [],
        [],
    ]
    lists = {
        name: [str(tmp_path / f"{file}.txt")]
        for name, file in (("block", "block"), ("allow", "allow"), ("opt_out", "out"))
    }
    assert run(recipe(tmp_path, **lists)) == {
        "documents": 0,
        "quality": 0,
        "personal": 0,
        "safety": 0,
        "lists": 1,
        "verdicts": 1,
    }
    assert reasons(tmp_path)[2:] == [["blocked 1 > 0"], [], ["opted_out 1 > 0"]]
    (tmp_path / "root/keep").touch()
    changed = recipe(tmp_path, **lists)
    (tmp_path / "block.txt").write_text("# nothing\n")
    assert run(changed)["lists"] == 1
    assert reasons(tmp_path)[2] == []


def test_nothing_asked_for_is_nothing_measured(tmp_path: Path) -> None:
    stages = [stage.name for stage in stages_of(recipe(tmp_path, personal=[], trades=False), "filter")]
    assert stages == ["documents", "quality", "verdicts"]


def test_a_kind_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"safety\.personal"):
        recipe(tmp_path, personal=["mail"])
