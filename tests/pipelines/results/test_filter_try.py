"""`headwater filter try`: both verdicts from columns alone, what changes sides, examples next to the bound."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus.io import table
from pipelines.cli import main
from pipelines.config.recipe import load_recipe
from pipelines.engine.stage import Task
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
PROSE = (
    "The committee met in the old town hall to discuss what should be done with the bridge that had carried "
    "travellers over the river for two hundred years. Some of them wanted to have it repaired, and others said "
    "that a new one would cost less and be safer. After a long evening they agreed to ask an engineer."
)  # 58 words
WORDS = PROSE.split()


def text_of(words: int) -> str:
    """The prose from its last words on: every number of words gives another beginning."""
    return " ".join((WORDS[-words:] + WORDS)[:words])


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A run whose documents have 40, 41, ... 58 words; measured, not judged."""
    texts = [text_of(count) for count in range(40, 59)]
    shard = "documents/dump=CC-MAIN-2019-43/00000.parquet"
    rows = [(f"{i:032x}", f"http://a.example/{i}", "en", 0.9, len(t), t) for i, t in enumerate(texts)]
    with table.ShardWriter(str(tmp_path / "root" / shard), SCHEMA) as writer:
        writer.write(pa.table([pa.array(c, f.type) for c, f in zip(zip(*rows), SCHEMA)], schema=SCHEMA))
    path = tmp_path / "recipe.yaml"
    inputs = [{"crawl": "/nowhere", "dumps": ["CC-MAIN-2019-43"]}]
    path.write_text(json.dumps({"name": "t", "root": str(tmp_path / "root"), "inputs": inputs}))
    loaded = load_recipe(str(path))
    given = {"documents": [Task("documents", shard, (), {}, "f")]}
    run_stages(filter_stages(loaded.root, loaded)[:1], given)
    return path


def tried(capsys: pytest.CaptureFixture[str], recipe: Path, *settings: str) -> Any:
    options = [option for setting in settings for option in ("--set", setting)]
    assert main(["filter", "try", str(recipe), "--json", "--examples", "2", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_lower_bound_gains_what_lies_between(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tried(capsys, recipe, "en.words.min=45", "en.words.max=100000")
    assert (found["before"]["kept"], found["after"]["kept"]) == (9, 14)
    between = sum(len(text_of(count)) for count in range(45, 50))
    assert found["gained"] == {"en": {"documents": 5, "bytes": between}}
    assert found["lost"] == {}
    (change,) = found["examples"]
    assert (change["signal"], change["end"], change["before"], change["after"]) == ("words", "min", 50, 45)
    assert [example["value"] for example in change["within"]] == [45, 46]
    assert [example["value"] for example in change["beyond"]] == [44, 43]
    assert change["within"][0]["url"] == "http://a.example/5"
    assert change["within"][0]["text"] == text_of(45)[:160]
    assert not (Path(load_recipe(str(recipe)).root) / "verdicts").exists()


def test_a_rule_that_is_dropped_or_tightened(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(capsys, recipe, "en.words=off")["after"]["kept"] == 19
    found = tried(capsys, recipe, "en.words.min=56", "filter.language_score=0.5")
    assert found["lost"]["en"]["documents"] == 6
    assert [example["kept_before"] for example in found["examples"][-1]["beyond"]] == [True, True]
    assert tried(capsys, recipe, "filter.language_score=0.95")["after"]["kept"] == 0


def test_the_page_is_readable(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "try", str(recipe), "--set", "en.words.min=45"]) == 0
    page = capsys.readouterr().out
    assert "en.words: min 50 -> 45" in page
    assert "dropped -> kept" in page
    assert main(["filter", "try", str(recipe)]) == 0
    assert "no threshold differs" in capsys.readouterr().out


def test_mistakes_are_explained(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", "try", str(recipe), "--set", "en.wrds.min=45"]) == 2
    assert "did you mean `words`" in capsys.readouterr().err
    assert main(["filter", "try", str(recipe), "--set", "en.words.min"]) == 2
    assert "LANGUAGE.SIGNAL.min=N" in capsys.readouterr().err
    assert main(["filter", "try", str(recipe), "--set", "root=/nowhere"]) == 1
    assert "run the recipe first" in capsys.readouterr().err
