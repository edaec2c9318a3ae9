"""Sections of the report on sites, personal data and benchmarks, from a run that has something in each."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from corpus.io import storage, table
from corpus.mixture.plan import make_plan, with_languages
from pipelines.config.recipe import validate
from pipelines.engine import pipeline
from pipelines.report.page import draw_report, render
from pipelines.results.collect import collect
from pipelines.results.mixture import mixture
from pipelines.stages import stages_of
from tests.pipelines.report.report_tables import DUMPS, recipe_at, write_run

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


def test_a_shard_without_documents_has_its_place(tmp_path: Path) -> None:
    write_run(tmp_path)
    recipe = recipe_at(tmp_path)
    before = collect(recipe)["distributions"]
    for kind in ("documents", "quality"):
        folder = tmp_path / kind / f"dump={DUMPS[0]}"
        nothing = table.read_table(str(folder / "00000.parquet")).slice(0, 0)
        with table.ShardWriter(str(folder / "00009.parquet"), nothing.schema) as writer:
            writer.write(nothing)
    assert collect(recipe)["distributions"] == before | {"shards": before["shards"] + 1, "all_shards": 9}


def test_a_mixture_of_empty_documents_of_which_nothing_was_read(tmp_path: Path) -> None:
    """The domain is called `en`, and is shown so; the language is shown by its name."""
    options = {"weights": {}, "temperature": 1.0, "epoch_cap": 4.0, "budget": None}
    plan = make_plan({"en": 0}, {"en": 3}, unit="bytes", method="natural", **options)
    storage.write_json(str(tmp_path / "mixture/plan.json"), with_languages(plan, {"en": {"zh": 0}}))
    storage.write_json(str(tmp_path / "train/manifest.json"), {"summary": {"domains": {"en": {"tokens": 0}}}})
    found = mixture(str(tmp_path))
    assert found is not None
    for rows in (found["domains"], found["languages"]):
        assert [(row["bytes"], row["read"], row["read_share"]) for row in rows] == [(0, 0, 0)]
    page = Path(draw_report(recipe_at(tmp_path))).read_text()
    for shown in ("<td>en</td>", '<span class="name">en</span>', "<td>Chinese</td>"):
        assert shown in page
