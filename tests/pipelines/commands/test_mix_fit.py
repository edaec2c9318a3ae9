"""`headwater mix fit`: proxies of a run's own token shards, resumed, and weights that the recipe takes."""

import json
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from corpus.io import storage
from pipelines.cli import main
from pipelines.config.recipe import load_recipe
from pipelines.engine import pipeline
from pipelines.stages import stages_of
from tests.pipelines.small_run import DUMPS, write_crawl
from train import proxies

TRAIN = {"threads": 1, "steps": 500, "batch_size": 8, "sequence_length": 16, "device": "cpu"}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    write_crawl(folder / "crawl")
    value = {
        "name": "small",
        "root": str(folder / "root"),
        "inputs": [{"crawl": str(folder / "crawl"), "dumps": list(DUMPS), "rules": "none"}],
        "remix": {"validation": 0.2},
        "tokenizer": {"vocab_size": 300},
        "train": TRAIN,
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(value))
    stages = stages_of(load_recipe(str(folder / "small.yaml")), "tokens")
    results = pipeline.run(stages, Console(quiet=True), verify=False, on_ray=False)
    assert not any(result.failed for result in results)
    return folder / "small.yaml"


def fit(recipe: Path, out: Path, *options: str) -> int:
    return main(["mix", "fit", str(recipe), "--steps", "2", "--out", str(out), *options])


def test_weights_from_proxies(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[float] = []
    pretrain = proxies.pretrain

    def counted(settings, data, folder, *rest, **options):  # type: ignore[no-untyped-def]
        trained.append(data.weights["web-zh"])
        if len(trained) == 3:
            raise KeyboardInterrupt
        return pretrain(settings, data, folder, *rest, **options)

    monkeypatch.setattr(proxies, "pretrain", counted)
    out = tmp_path / "fit.json"
    assert fit(recipe, out, "--runs", "4") == 130
    assert not out.exists()
    assert fit(recipe, out, "--runs", "4") == 0
    result = json.loads(out.read_text())
    first, second, cut, *others = [run["weights"]["web-zh"] for run in result["runs"]]
    chosen = result["weights"]["web-zh"]
    assert trained == [first, second, cut, cut, *others, chosen], "what was measured is not trained again"
    tokens = {
        domain["domain"]: domain["tokens"]
        for domain in storage.read_json(str(recipe.parent / "root/mixture/tokens.json"))["domains"]
    }
    assert set(result["weights"]) == set(tokens) == {"web-en", "web-zh"}
    assert sum(result["weights"].values()) == pytest.approx(1, abs=1e-3)
    budget = TRAIN["steps"] * TRAIN["batch_size"] * TRAIN["sequence_length"]  # type: ignore[operator]
    for name, weight in result["weights"].items():
        assert weight <= 4 * tokens[name] / budget + 1e-3
    natural = result["natural"]["weights"]
    assert natural["web-zh"] == pytest.approx(tokens["web-zh"] / sum(tokens.values()), abs=1e-3)
    assert len({run["weights"]["web-zh"] for run in result["runs"]}) == 4
    assert len({run["bits_per_byte"]["web-zh"] for run in result["runs"]}) == 4

    shown = capsys.readouterr().out
    block = shown[shown.index("remix:") : shown.index("or once:")]
    assert yaml.safe_load(block)["remix"] == {"method": "given", "weights": result["weights"]}
    words = f"remix.weights={json.dumps(result['weights'])}"
    assert main(["mix", "try", str(recipe), "--set", "remix.method=given", "--set", words]) == 0

    assert fit(recipe, out, "--runs", "5") == 0
    result = json.loads(out.read_text())
    more = [run["weights"]["web-zh"] for run in result["runs"]][4:]
    assert trained[6:] in ([*more, result["weights"]["web-zh"]], more), "more runs add to those there are"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runs", "3"], "--runs 3: the law of 2 domains needs 4 proxies or more"),
        (["--target", "web-fr"], "--target web-fr: there is no held-out text of it; there is of web-en, web-zh"),
        (["--model", "huge"], "--model huge: Input should be 'nano'"),
        (["--set", "remix.validation=0.1"], "are not all made; run it with --until tokens"),
        (["--set", "remix.cluster_weights={2: 2}"], "remix.cluster_weights: with it a domain is divided"),
    ],
)
def test_what_cannot_be_fitted(
    recipe: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(recipe, tmp_path / "fit.json", *options) == 2
    assert message in capsys.readouterr().err
