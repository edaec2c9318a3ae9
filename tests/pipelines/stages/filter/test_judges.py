"""Learned judges on the whole path: trained by command, named in a recipe, scored as columns, bounded by verdicts."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus.errors import UsageError
from corpus.io import table
from pipelines.cli import main
from pipelines.config.recipe import Recipe, validate
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Task
from pipelines.report.page import draw_report
from pipelines.results.collect import collect
from pipelines.results.distributions import distributions
from pipelines.stages.filter.stages import filter_stages
from tests.pipelines.stages.run_stages import run_stages

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("language", pa.string()),
        ("language_score", pa.float32()),
        ("length", pa.int64()),
        ("text", pa.large_string()),
    ]
)
SHARD = "documents/dump=CC-MAIN-2019-43/00000.parquet"
CLEAN = "the river bridge council engineer repair cost travellers history evening report spring".split()  # noqa: SIM905
SPAM = "casino bonus click win free slots jackpot deposit offer cheap pills viagra".split()  # noqa: SIM905


def made(words: list[str], count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(words, k=60)) + "." for _ in range(count)]


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quality judge, a judge of topics and an n-gram model, trained by the commands."""
    root = tmp_path_factory.mktemp("models")
    clean = write(root / "clean.jsonl", made(CLEAN, 300, 1))
    spam = write(root / "spam.jsonl", made(SPAM, 300, 2))
    small = ["--dim", "8", "--bucket", "5000", "--epoch", "10"]
    both = ["--positives", str(clean), "--negatives", str(spam), "--out", str(root / "quality"), *small]
    assert main(["classifier", "train", *both]) == 0
    labels = ["--label", f"bridges={clean}", "--label", f"games={spam}", "--out", str(root / "topics"), *small]
    assert main(["classifier", "train", *labels]) == 0
    assert main(["perplexity", "train", str(clean), "--out", str(root / "clean")]) == 0
    return root


def recipe(root: Path, judges: dict[str, Any], **filters: Any) -> Recipe:
    inputs = [{"crawl": "/nowhere", "dumps": ["CC-MAIN-2019-43"]}]
    return validate({"name": "t", "root": str(root), "inputs": inputs, "judges": judges, "filter": filters}, "test")


@pytest.fixture
def documents(tmp_path: Path) -> list[Task]:
    texts = [*made(CLEAN, 3, 7), *made(SPAM, 3, 8), "", "das ist Deutsch"]
    rows = [
        (f"{i:032x}", f"http://a.example/{i}", "de" if "Deutsch" in t else "en", 0.9, len(t), t)
        for i, t in enumerate(texts)
    ]
    with table.ShardWriter(str(tmp_path / SHARD), SCHEMA) as writer:
        for part in (rows[:4], rows[4:]):
            writer.write(pa.table([pa.array(c, f.type) for c, f in zip(zip(*part), SCHEMA)], schema=SCHEMA))
    return [Task("documents", SHARD, (), {}, "f")]


def run(root: Path, recipe: Recipe, documents: list[Task]) -> list[str]:
    """Plan and run what is not done; the outputs that were made."""
    ran = run_stages(filter_stages(str(root), recipe), {"documents": documents})
    return [task.stage for tasks in ran.values() for task in tasks]


def column(root: Path, kind: str, name: str) -> list[Any]:
    return table.read_table(str(root / SHARD.replace("documents", kind)))[name].to_pylist()


def test_scores_are_columns_and_verdicts_bound_them(tmp_path: Path, models: Path, documents: list[Task]) -> None:
    judges = {
        "classifier": {"en": str(models / "quality")},
        "perplexity": {"en": str(models / "clean")},
        "topics": {"en": str(models / "topics")},
    }
    rules = dict.fromkeys(("words", "stop_words_en", "mean_word_length", "alphabetic_words"), False)
    rules |= {f"top_{n}_gram": False for n in (2, 3, 4)} | {f"duplicate_{n}_gram": False for n in (5, 6, 7, 8, 9, 10)}
    bounded = {"en": rules | {"quality_score": {"min": 0.5}, "perplexity_rank": {"max": 0.9}}}
    first = recipe(tmp_path, judges, thresholds=bounded)
    assert {"quality", "classifier", "perplexity", "topics", "verdicts"} <= set(run(tmp_path, first, documents))
    quality = column(tmp_path, "classifier", "quality_score")
    assert min(quality[:3]) > 0.8 > 0.2 > max(quality[3:6])
    assert quality[7] is None  # no model for German
    perplexity = column(tmp_path, "perplexity", "perplexity")
    assert max(perplexity[:3]) < min(perplexity[3:6])
    assert perplexity[6] is None  # no word
    assert column(tmp_path, "perplexity", "bucket")[3:] == ["tail", "tail", "tail", None, None]
    assert column(tmp_path, "topics", "topic")[:6] == ["bridges"] * 3 + ["games"] * 3
    reasons = column(tmp_path, "verdicts", "reasons")
    assert reasons[0] == []
    assert [reason.split(" ")[0] for reason in reasons[3]] == ["quality_score", "perplexity_rank"]
    assert reasons[7] == ["language de not in en,zh"]
    shown = distributions(first, [ShardRef("CC-MAIN-2019-43", 0)])
    assert shown is not None
    ranks = [value for value in column(tmp_path, "perplexity", "perplexity_rank") if value is not None]
    shares = {"head": sum(v < 0.3 for v in ranks) / 6, "tail": sum(v >= 0.6 for v in ranks) / 6}
    assert shown["buckets"]["en"] == pytest.approx(shares | {"middle": 1 - sum(shares.values())})
    bounds = [row["min"] is not None or row["max"] is not None for row in shown["languages"]["en"]]
    assert bounds == sorted(bounds, reverse=True), "those with a bound first"
    assert {"quality_score", "topic_score", "perplexity"} <= {row["signal"] for row in shown["languages"]["en"]}


def test_a_changed_model_recomputes_its_scores_alone(tmp_path: Path, models: Path, documents: list[Task]) -> None:
    judges = {"classifier": {"en": str(models / "quality")}, "perplexity": {"en": str(models / "clean")}}
    run(tmp_path, recipe(tmp_path, judges), documents)
    assert run(tmp_path, recipe(tmp_path, judges), documents) == []
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in (models / "quality").iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    assert run(tmp_path, recipe(tmp_path, judges | {"classifier": {"en": str(moved)}}), documents) == []
    card = json.loads((moved / "card.json").read_text())
    card["calibration"]["shift"] += 1
    (moved / "card.json").write_text(json.dumps(card))
    assert run(tmp_path, recipe(tmp_path, judges | {"classifier": {"en": str(moved)}}), documents) == ["classifier"]
    bounded = {"en": {"quality_score": {"min": 0.5}}}
    rules = recipe(tmp_path, judges | {"classifier": {"en": str(moved)}}, thresholds=bounded)
    assert run(tmp_path, rules, documents) == ["verdicts"]


def test_training_is_deterministic_and_leaves_a_card(models: Path, tmp_path: Path) -> None:
    value = {
        "name": "t",
        "root": str(tmp_path),
        "inputs": [{"crawl": "/nowhere", "dumps": ["CC-MAIN-2019-43"]}],
        "classifiers": {
            "quality": {
                "out": str(tmp_path / "again"),
                "positives": [str(models / "clean.jsonl")],
                "negatives": [str(models / "spam.jsonl")],
                "dim": 8,
                "bucket": 5000,
                "epoch": 10,
            }
        },
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(value))
    assert main(["classifier", "train", str(path)]) == 0
    for name in ("model.bin", "card.json", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (models / "quality" / name).read_bytes()
    card = json.loads((tmp_path / "again" / "card.json").read_text())
    assert card["held_out"]["roc_auc"] == 1.0
    assert {part["label"]: part["documents"] for part in card["data"]} == {"negative": 300, "positive": 300}
    assert card["data"][0]["files"][0]["name"].endswith("spam.jsonl")
    assert card["held_out"]["documents"] < 150
    assert "On texts held out" in (tmp_path / "again" / "README.md").read_text()


def test_the_report_shows_the_judges(tmp_path: Path, models: Path) -> None:
    judges = {
        "classifier": {"en": str(models / "quality")},
        "topics": {"en": str(models / "topics"), "zh": str(models / "quality")},
        "perplexity": {"en": str(models / "clean"), "zh": str(tmp_path / "gone")},
    }
    page = Path(draw_report(recipe(tmp_path, judges))).read_text()
    assert "ROC: area 1.000 on" in page
    assert "Calibration: share of positives by score" in page
    assert "lie below a perplexity of" in page
    assert "Learned judges" not in Path(draw_report(recipe(tmp_path, {}))).read_text()
    figures = collect(recipe(tmp_path, judges))["judges"]
    assert [(card["judge"], card["language"]) for card in figures] == [
        ("quality", "en"),
        ("topics", "en"),
        ("topics", "zh"),
        ("perplexity", "en"),
    ]


def test_mistakes_are_explained(tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="no model is there; `headwater classifier train` makes one"):
        filter_stages("r", recipe(tmp_path, {"classifier": {"en": str(tmp_path / "none")}}))
    with pytest.raises(UsageError, match="holds a perplexity and not a classifier model"):
        filter_stages("r", recipe(tmp_path, {"topics": {"en": str(models / "clean")}}))
    with pytest.raises(UsageError, match="tells bridges, games apart and judges no quality"):
        filter_stages("r", recipe(tmp_path, {"classifier": {"en": str(models / "topics")}}))
    with pytest.raises(UsageError, match="measures no table `classifier`"):
        filter_stages("r", recipe(tmp_path, {}, thresholds={"en": {"quality_score": {"min": 0.5}}}))
    few = write(tmp_path / "few.jsonl", made(CLEAN, 5, 3))
    out = ["--out", str(tmp_path / "m")]
    assert main(["classifier", "train", "--positives", str(few), "--negatives", str(few), *out]) == 2
    assert "5 different documents" in capsys.readouterr().err
    assert main(["classifier", "train", "--positives", str(few), *out]) == 2
    assert "needs both" in capsys.readouterr().err
    assert main(["perplexity", "train", str(few), *out]) == 2
    assert "too little text" in capsys.readouterr().err
