"""The fate of a document, found in real tables by id and by address."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from corpus.io import storage, table
from corpus.spans import SCHEMA as SPAN_SCHEMA
from pipelines.cli import main
from pipelines.results.collect import collect
from pipelines.results.why import NotFound, why
from pipelines.results.why_token import document_at
from tests.pipelines.report.report_tables import DUMPS, HOSTILE, recipe_at, write_run
from tokenizer.shard_writer import PROVENANCE_SCHEMA


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    root = tmp_path_factory.mktemp("run")
    rows = write_run(root)
    chosen = [row for row in rows if row["domain"] == "web-en" and row["keep"] and row["split"] == "train"]
    provenance = [
        {"id": row["id"], "url": row["url"], "dump": row["dump"], "offset": 100 * number, "tokens": 100}
        for number, row in enumerate(chosen)
    ]
    folder = root / "tokens/domain=web-en"
    stale = [row | {"offset": 7} for row in provenance]  # of a time when the domain had another shard in front
    for name, shard in (("00000", provenance), ("-stale", stale)):
        with table.ShardWriter(str(folder / f"{name}.parquet"), PROVENANCE_SCHEMA) as writer:
            writer.write(pa.Table.from_pylist(shard, PROVENANCE_SCHEMA))
    (folder / "manifest.json").write_text(json.dumps({"shards": [{"name": "00000"}]}))
    recipe = recipe_at(root).model_dump(mode="json", include={"name", "root", "inputs"})
    (root / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return root, rows


def test_every_document_is_found_by_its_id_with_what_was_decided(finished: Any) -> None:
    root, rows = finished
    for row in rows[::7]:
        found = why(recipe_at(root), id=row["id"])
        (fate,) = found["documents"]
        assert found["rejects"] == []
        assert (fate["dump"], fate["url"]) == (row["dump"], row["url"])
        assert (fate["extract"]["file"], fate["extract"]["offset"]) == (row["file"], row["offset"])
        assert fate["filter"]["reasons"] == row["reasons"]
        assert fate["dedup"]["keep"] == (row["duplicate_of"] is None)
        assert (fate["dedup"]["duplicate_of"] or {"id": None})["id"] == row["duplicate_of"]
        assert (fate["remix"]["domain"], fate["remix"]["split"]) == (row["domain"], row["split"])


def test_a_takedown_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write_run(tmp_path)
    (tmp_path / "recipe.yaml").write_text(
        yaml.safe_dump(recipe_at(tmp_path).model_dump(mode="json", include={"name", "root", "inputs"}))
    )
    path = next(tmp_path.glob(f"duplicates/dump={rows[0]['dump']}/00000.parquet"))
    found = table.read_table(str(path))
    taken = [row | {"keep": False, "level": "takedown", "duplicate_of": None} for row in found.to_pylist()]
    with table.ShardWriter(str(path), found.schema) as writer:
        writer.write(pa.Table.from_pylist(taken, found.schema))
    (fate,) = why(recipe_at(tmp_path), id=taken[0]["id"])["documents"]
    assert fate["outcome"] == "taken down"
    assert main(["why", str(tmp_path / "recipe.yaml"), "--id", taken[0]["id"]]) == 0
    assert "the recipe names it in dedup.takedown" in capsys.readouterr().out
    dedup = collect(recipe_at(tmp_path))["deduplication"]
    kept = [row for row in rows if row["duplicate_of"] is None and row["id"] not in {row["id"] for row in taken}]
    assert sum(row["clusters"] for row in dedup["cluster_sizes"]) == len(kept)
    assert dedup["levels"]["takedown"] == len(taken)


def test_a_duplicate_names_its_keeper_and_a_keeper_its_duplicates(finished: Any) -> None:
    root, rows = finished
    by_id = {row["id"]: row for row in rows}
    row = next(row for row in rows if row["level"] == "near" and not row["reasons"])
    (fate,) = why(recipe_at(root), id=row["id"])["documents"]
    keeper = by_id[row["duplicate_of"]]
    assert fate["outcome"] == "removed as a duplicate (near)"
    assert fate["dedup"]["duplicate_of"] == {
        "id": keeper["id"],
        "url": keeper["url"],
        "dump": keeper["dump"],
        "passes_filters": True,
    }
    assert fate["dedup"]["similarity"] == pytest.approx(0.93)
    assert fate["dedup"]["threshold"] == recipe_at(root).dedup.threshold
    (kept,) = why(recipe_at(root), id=keeper["id"])["documents"]
    assert {item["dump"] for item in kept["dedup"]["members"]} == set(DUMPS) - {keeper["dump"]}


def test_signals_carry_their_thresholds(finished: Any) -> None:
    root, rows = finished
    row = next(row for row in rows if row["reasons"] and row["language"] == "en")
    (fate,) = why(recipe_at(root), id=row["id"])["documents"]
    checks = {check["signal"]: check for check in fate["filter"]["checks"]}
    assert checks["words"]["passes"] is False
    assert (checks["words"]["min"], checks["words"]["max"]) == (50, 100_000)
    assert checks["mean_word_length"]["passes"] is True
    assert fate["outcome"].startswith("dropped by the filters")


def test_tokens_of_a_kept_document(finished: Any) -> None:
    root, rows = finished
    chosen = [row for row in rows if row["domain"] == "web-en" and row["keep"] and row["split"] == "train"]
    (fate,) = why(recipe_at(root), id=chosen[3]["id"])["documents"]
    assert fate["tokens"] == {"shard": "tokens/domain=web-en/00000.bin", "offset": 300, "tokens": 100}
    assert fate["outcome"] == "kept: in the tokens to train on, in domain web-en"
    plan = {row["domain"]: row for row in storage.read_json(str(root / "mixture/tokens.json"))["domains"]}
    assert fate["remix"]["weight"] == plan["web-en"]["weight"] > 0


def test_an_address_lists_its_captures_by_dump_however_it_is_written(finished: Any) -> None:
    root, _ = finished
    for url in (
        "https://en.example.org/0.html",
        "http://EN.example.org:80/0.html#top",
        "https://en.example.org/0.html/",
    ):
        found = why(recipe_at(root), url=url)
        assert [fate["dump"] for fate in found["documents"]] == DUMPS


def test_a_rejected_address_says_why_and_where(finished: Any) -> None:
    root, _ = finished
    found = why(recipe_at(root), url="https://x.example.org/a.png")
    assert found["documents"] == []
    first = found["rejects"][0]
    assert (first["dump"], first["reason"], first["offset"]) == (DUMPS[0], "not_html", 7)


def test_the_beginning_of_an_id_is_enough_while_it_is_unique(finished: Any) -> None:
    root, rows = finished
    row = rows[0]
    length = next(n for n in range(4, 33) if sum(other["id"].startswith(row["id"][:n]) for other in rows) == 1)
    assert why(recipe_at(root), id=row["id"][:length])["documents"][0]["id"] == row["id"]
    with pytest.raises(NotFound, match="no document has the id"):
        why(recipe_at(root), id="zzzz")


def test_a_wrong_address_names_near_ones(finished: Any) -> None:
    root, _ = finished
    with pytest.raises(NotFound, match=r"near it:\n  https://en\.example\.org/"):
        why(recipe_at(root), url="https://en.example.org/0.htm")
    with pytest.raises(NotFound, match="nothing has been extracted"):
        why(recipe_at(root / "nowhere"), url="https://en.example.org/")


def test_annotations_of_other_documents_are_not_believed(tmp_path: Path) -> None:
    rows = write_run(tmp_path)
    path = str(tmp_path / "verdicts/dump=CC-MAIN-2019-43/00000.parquet")
    verdicts = table.read_table(path)
    with table.ShardWriter(path, verdicts.schema) as writer:
        writer.write(verdicts.take(pa.array(range(len(verdicts) - 1, -1, -1))))
    (tmp_path / "duplicates/dump=CC-MAIN-2019-43/00000.parquet").unlink()
    (fate,) = why(recipe_at(tmp_path), id=rows[0]["id"])["documents"]
    assert fate["filter"]["keep"] is None
    assert fate["dedup"] is None


def test_a_token_leads_back_to_its_document(finished: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Every position of a shard, at the ends of documents too; what is behind the shard is refused."""
    root, rows = finished
    chosen = [row for row in rows if row["domain"] == "web-en" and row["keep"] and row["split"] == "train"]
    shard = "tokens/domain=web-en/00000.bin"
    for number, row in enumerate(chosen):
        for position in (100 * number, 100 * number + 99):
            assert document_at(str(root), f"{shard}:{position}") == row["id"]
    recipe = str(root / "recipe.yaml")
    assert main(["why", recipe, "--token", f"{shard}:{100 * len(chosen) - 1}"]) == 0
    assert chosen[-1]["url"] in capsys.readouterr().out
    for place, message in (
        (f"{shard}:{100 * len(chosen)}", f"the shard has {100 * len(chosen):,} tokens"),
        ("tokens/domain=web-en/00077.bin:1", "there is no"),
        (shard, "give SHARD:POSITION"),
    ):
        assert main(["why", recipe, "--token", place]) == 2
        assert message in capsys.readouterr().err


def test_command(finished: Any, capsys: pytest.CaptureFixture[str]) -> None:
    root, rows = finished
    recipe = str(root / "recipe.yaml")
    assert main(["why", recipe, "--url", "https://en.example.org/0.html"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("=> ") == 3
    assert "removed (near): similarity 0.930, threshold 0.8" in shown
    assert "50 to 100000" in shown
    assert main(["why", recipe, "--id", rows[1]["id"], "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert HOSTILE in value["documents"][0]["url"]
    assert main(["why", recipe, "--id", "0123456789"]) == 1
    assert capsys.readouterr().err.startswith(f"headwater: {root}: no document has the id 0123456789")
    assert main(["why", recipe, "--id", "01"]) == 1
    assert "give at least 4 characters" in capsys.readouterr().err
    assert main(["why", recipe, "--root", str(root / "empty"), "--id", "0123456789"]) == 1


def test_spans_are_shown_as_they_are_applied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write_run(tmp_path)
    row = next(row for row in rows if row["domain"] == "web-en" and row["keep"] and row["split"] == "train")
    shard = f"dump={row['dump']}/00000.parquet"
    ids = table.read_table(str(tmp_path / "documents" / shard), ["id", "text"]).to_pylist()
    text = next(other["text"] for other in ids if other["id"] == row["id"]).encode()
    found = {"passages": [(0, 12, "passage")], "personal": [(8, 20, "email")]}
    for kind, listed in found.items():
        with table.ShardWriter(str(tmp_path / kind / shard), SPAN_SCHEMA) as writer:
            of = [{"start": a, "end": b, "kind": name} for a, b, name in listed]
            lists = [{"id": other["id"], "spans": of if other["id"] == row["id"] else []} for other in ids]
            writer.write(pa.Table.from_pylist(lists, SPAN_SCHEMA))
    (fate,) = why(recipe_at(tmp_path), id=row["id"])["documents"]
    assert fate["spans"] == {
        "cut": 12,
        "masked": 8,
        "spans": [
            {"kind": "passage", "start": 0, "end": 12, "text": text[:12].decode(), "becomes": None},
            {"kind": "email", "start": 12, "end": 20, "text": text[12:20].decode(), "becomes": "<email>"},
        ],
    }
    recipe = recipe_at(tmp_path).model_dump(mode="json", include={"name", "root", "inputs"})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["why", str(tmp_path / "recipe.yaml"), "--id", row["id"]]) == 0
    said = capsys.readouterr().out
    assert f"12 bytes cut and 8 bytes masked, of {fate['extract']['length']:,}" in said
    assert "-> <email>" in said
    there = {other["id"] for other in ids}
    for other in rows:
        (fate,) = why(recipe_at(tmp_path), id=other["id"])["documents"]
        assert (fate["spans"] is None) == (other["id"] not in there)
        assert other["id"] == row["id"] or not fate["spans"] or fate["spans"]["spans"] == []
