"""Recipes: mistakes are refused with their mend, all at once."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from corpus.errors import UsageError
from pipelines.cli import main
from pipelines.commands.recipes import recipe_from
from pipelines.config.inputs import CrawlInput, FilesInput
from pipelines.config.recipe import builtin_recipe, load_recipe, validate

ROOT = Path(__file__).resolve().parents[3]
GOOD: dict[str, Any] = {
    "name": "small",
    "root": "out",
    "inputs": [
        {"crawl": "crawl", "dumps": ["CC-MAIN-2019-43", "CC-MAIN-2020-40"]},
        {"files": ["books/*.jsonl.zst"], "name": "books", "columns": {"text": "body", "id": "isbn"}},
    ],
}


def _refusal(**changes: Any) -> str:
    with pytest.raises(UsageError) as refused:
        validate({**GOOD, **changes}, "r.yaml")
    return str(refused.value)


def test_a_good_recipe() -> None:
    recipe = validate(GOOD, "r.yaml")
    crawl, books = recipe.inputs
    assert isinstance(crawl, CrawlInput)
    assert isinstance(books, FilesInput)
    assert crawl.format == "warc"
    assert books.columns == {"text": "body", "id": "isbn"}


def test_an_unknown_key_names_the_nearest() -> None:
    assert "r.yaml: the recipe has 1 mistake(s):\n  tokeniser: unknown key; did you mean `tokenizer`?" in _refusal(
        tokeniser={}
    )
    inputs = [{"crawl": "c", "dmups": []}]
    assert "inputs.0.dmups: unknown key; did you mean `dumps`?" in _refusal(inputs=inputs)
    assert "extract.zzz: unknown key; " in _refusal(extract={"zzz": 1})
    assert "filter.thresholds.en.words.mni: unknown key; did you mean `min`?" in _refusal(
        filter={"thresholds": {"en": {"words": {"mni": 3}}}}
    )
    assert "no signal of sites `faild_share`; did you mean `failed_share`?" in _refusal(
        sites={"most": {"faild_share": 0.5}}
    )


def test_a_bound_that_is_no_number_is_one_mistake() -> None:
    message = _refusal(filter={"thresholds": {"en": {"words": {"min": "many"}}}})
    assert "1 mistake(s)" in message
    assert "filter.thresholds.en.words.min: Input should be a valid number" in message


def test_a_wrong_value_says_what_is_allowed() -> None:
    inputs = [{"crawl": "c", "dumps": ["CC-MAIN-2019-43"], "format": "wat"}]
    assert "inputs.0.format: Input should be 'warc' or 'wet', got 'wat'" in _refusal(inputs=inputs)
    assert "inputs.0.files: Input should be greater than or equal to 1, got 0" in _refusal(
        inputs=[{"crawl": "c", "files": 0}]
    )
    assert "inputs: " in _refusal(inputs=[])


def test_all_mistakes_are_told_at_once() -> None:
    message = _refusal(inputs=[{"crawl": "c", "dmups": []}, {"files": ["a"], "name": "x", "colums": {}}], nmae="x")
    assert "3 mistake(s)" in message
    assert "inputs.1.colums: unknown key; did you mean `columns`?" in message
    assert "nmae: unknown key; did you mean `name`?" in message


def test_missing_sections_are_named() -> None:
    with pytest.raises(UsageError, match="root: is needed and not given"):
        validate({"name": "x", "inputs": GOOD["inputs"]}, "r.yaml")


def test_the_environment_is_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("# ${NOT_READ}\n" + yaml.safe_dump({**GOOD, "root": "${SOMEWHERE}/out"}))
    monkeypatch.delenv("SOMEWHERE", raising=False)
    with pytest.raises(UsageError, match=r"SOMEWHERE is not set in the environment; export SOMEWHERE="):
        load_recipe(str(path))
    monkeypatch.setenv("SOMEWHERE", "/there")
    assert load_recipe(str(path)).root == "/there/out"


@pytest.mark.parametrize("text", ["", "- a\n- b", "a: [", "{{"])
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"r\.yaml: "):
        load_recipe(str(path))
    with pytest.raises(UsageError, match="cannot read the recipe"):
        load_recipe(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("name", ["sample", "dumps", "commoncrawl", "deepseek-llm"])
def test_the_recipes_that_ship_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_DATA", "/data")
    recipe = load_recipe(str(builtin_recipe(name)))
    assert recipe.name == name


def _arguments(tmp_path: Path, *words: str) -> Any:
    import argparse

    from pipelines.commands.recipes import add_recipe_arguments

    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    parser = argparse.ArgumentParser()
    add_recipe_arguments(parser)
    return parser.parse_args([str(path), *words])


def test_a_recipe_is_narrowed_and_overridden(tmp_path: Path) -> None:
    recipe = recipe_from(_arguments(tmp_path, "--dumps", "CC-MAIN-2020-40", "--files", "2", "--set", "root=there"))
    crawl = recipe.inputs[0]
    assert isinstance(crawl, CrawlInput)
    assert (crawl.dumps, crawl.files, recipe.root) == (["CC-MAIN-2020-40"], 2, "there")
    with pytest.raises(UsageError, match="no dump CC-MAIN-2020-41; did you mean `CC-MAIN-2020-40`"):
        recipe_from(_arguments(tmp_path, "--dumps", "CC-MAIN-2020-41"))
    wet = recipe_from(_arguments(tmp_path, "--set", "inputs.0.format=wet")).inputs[0]
    assert isinstance(wet, CrawlInput)
    assert wet.format == "wet"
    for wrong in ("inputs.7.format=wet", "inputs.crawl.format=wet", "name.x=1"):
        with pytest.raises(UsageError, match="the recipe has no place"):
            recipe_from(_arguments(tmp_path, "--set", wrong))
    with pytest.raises(UsageError, match="write it as KEY=VALUE"):
        recipe_from(_arguments(tmp_path, "--set", "root"))
    with pytest.raises(UsageError, match="roto: unknown key; did you mean `root`"):
        recipe_from(_arguments(tmp_path, "--set", "roto=x"))
    with pytest.raises(UsageError, match="not a YAML value"):
        recipe_from(_arguments(tmp_path, "--set", "root=["))
    with pytest.raises(UsageError, match="--files 0: should be 1 or more"):
        recipe_from(_arguments(tmp_path, "--files", "0"))


def test_a_recipe_that_is_not_there_names_those_that_ship(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "smaple"]) == 2
    assert "smaple: cannot read the recipe (No such file or directory); those that ship are" in capsys.readouterr().err


def test_a_section_that_is_no_mapping() -> None:
    assert "filter: Input should be a section: a mapping of keys to values, got 3" in _refusal(filter=3)


@pytest.mark.parametrize("option", [["--workers", "-1"], ["--set", "root=/dev/null/x"], ["--set", "root=https://x/y"]])
def test_a_run_that_cannot_write_says_so_before_it_starts(
    tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(yaml.safe_dump({**GOOD, "root": str(tmp_path / "out")}))
    assert main(["run", str(recipe), "--workers", "0", *option]) == 2
    told = capsys.readouterr().err
    assert told.startswith("headwater: ")
    assert len(told.splitlines()) == 1
