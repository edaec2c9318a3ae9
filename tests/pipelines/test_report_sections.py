"""Sections of the report on sites, personal data and benchmarks, from a run that has something in each."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from corpus import storage
from pipelines.engine import pipeline
from pipelines.recipe import validate
from pipelines.report.page import collect, draw_report, render
from pipelines.stages import stages_of

QUESTION = "How many eggs do the sixteen ducks of the old lady by the river lay in a year of thirteen months?"


def test_sections_show_what_was_found(tmp_path: Path) -> None:
    pages = [f"Page {number} of the town's paper. Write to editor{number}@paper.io about it." for number in range(4)]
    farm = [f"{'Free spins and an online casino. ' * 3} page {number}" for number in range(4)]
    rows = [(f"https://paper.io/{i}", text) for i, text in enumerate([*pages, f"{QUESTION} None."])]
    rows += [(f"https://farm.net/<{i}>", text) for i, text in enumerate(farm)]
    (tmp_path / "pages.jsonl").write_text("\n".join(json.dumps({"url": u, "text": t}) for u, t in rows))
    (tmp_path / "set.jsonl").write_text(json.dumps({"question": QUESTION}))
    source = {"files": [str(tmp_path / "pages.jsonl")], "name": "pages", "columns": {"text": "text", "url": "url"}}
    value = {
        "name": "t",
        "root": str(tmp_path / "root"),
        "inputs": [source | {"language": "en", "rules": "none"}],
        "decontaminate": {"benchmarks": [{"name": "ducks", "files": [str(tmp_path / "set.jsonl")]}]},
        "sites": {"least_documents": 3},
    }
    recipe = validate(value, "t")
    assert "The sites stage has not run yet" in render(collect(recipe))
    results = pipeline.run(stages_of(recipe, "domains"), Console(quiet=True), verify=False, on_ray=False)
    assert not any(result.failed for result in results)
    page = Path(draw_report(recipe)).read_text()
    for shown in (
        "farm.net",
        "gambling_share 0.6",
        "1 was dropped whole, with 4 of 9 documents",
        "what matched, where",
    ):
        assert shown in page, shown
    safety = storage.read_json(str(tmp_path / "root/reports/safety.json"))
    assert safety["masked"] == {"email": 4, "id_number": 0, "ip": 0, "phone": 0}
    assert [(row["benchmark"], row["found"], row["documents"]) for row in safety["benchmarks"]] == [("ducks", 1, 1)]
    assert safety["benchmarks"][0]["matches"][0]["url"] == "https://paper.io/4"
    signals = storage.read_json(str(tmp_path / "root/reports/distributions.json"))
    assert (signals["documents"], signals["shards"]) == (9, 1)
    found = {row["signal"]: row for row in signals["languages"]["en"]}
    assert found["gambling_share"]["failed"] == pytest.approx(4 / 9)
    assert sum(found["words"]["counts"]) == 9
    assert (found["words"]["min"], found["words"]["failed"]) == (50, 1)
    view = storage.read_json(str(tmp_path / "root/reports/site_view.json"))
    assert [row["site"] for row in view["gone"]] == ["farm.net"]
    assert [row["site"] for row in view["largest"]] == ["paper.io"]
