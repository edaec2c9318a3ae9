"""`headwater mix try`, and domains that are divided by how often the crawls saw a document."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from rich.console import Console

from corpus.io import storage
from pipelines.cli import main
from pipelines.config.recipe import load_recipe
from pipelines.engine import pipeline
from pipelines.stages import stages_of
from pipelines.stages.domains import with_classes
from tests.pipelines.small_run import DUMPS, write_crawl

WEIGHTS = {1: 1, 2: 2, 3: 4}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mix")
    write_crawl(folder / "crawl")
    value = {
        "name": "small",
        "root": str(folder / "root"),
        "inputs": [{"crawl": str(folder / "crawl"), "dumps": list(DUMPS), "rules": "none"}],
        "remix": {"method": "natural", "cluster_weights": WEIGHTS, "validation": 0},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(value))
    results = pipeline.run(
        stages_of(load_recipe(str(folder / "small.yaml")), "remix"), Console(quiet=True), verify=False, on_ray=False
    )
    assert not any(result.failed for result in results)
    return folder / "small.yaml"


def test_classes_follow_the_sizes_of_clusters() -> None:
    domains = pa.array(["a", "b", "a", "a", "b"])
    named = with_classes(domains, np.array([1, 2, 3, 9, 1], np.int32), {2: 2, 5: 3})
    assert named.to_pylist() == ["a", "b.seen2", "a.seen2", "a.seen5", "b"]


def test_a_run_weighs_its_clusters(recipe: Path) -> None:
    plan = storage.read_json(str(recipe.parent / "root/mixture/plan.json"))
    epochs = {domain["domain"]: domain["epochs"] for domain in plan["domains"]}
    assert {"web-en.seen2", "web-en.seen3", "web-zh.seen3"} <= set(epochs)
    assert all(value == WEIGHTS[int([*name.split(".seen"), "1"][1])] for name, value in epochs.items())


def test_tries_mixtures(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plans = ["natural", "unimax epoch_cap=1", "given weights.web-zh=0.5", "temperature temperature=3 budget=1e6"]
    assert main(["mix", "try", str(recipe), *plans]) == 0
    shown = capsys.readouterr().out
    assert all(plan in shown for plan in plans)
    assert "web-zh.seen3" in shown
    assert "short of it by" in shown
    assert "…" not in shown, "no figure is cut, however many plans"
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert {"web-en", "web-zh", "en", "zh"} <= set(rows)
    own = rows["en"][4]
    assert own == f"{sum(float(rows[name][4].rstrip('%')) for name in rows if name.startswith('web-en')):.1f}%"


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("unimix", "begin with a method: natural, given, temperature, unimax"),
        ("unimax cap=2", "cap=2 is no setting; write KEY=VALUE, with weights, temperature, epoch_cap"),
        ("given weights.web-zhh=0.5", "no document has the domain web-zhh; did you mean `web-zh`?"),
        ("unimax weights.a=1", "weights have no effect with method: unimax"),
        ("natural epoch_cap=0", "epoch_cap Input should be greater than 0"),
    ],
)
def test_a_wrong_plan_says_what_is_right(
    recipe: Path, plan: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mix", "try", str(recipe), plan]) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_is_not_there_yet_is_named(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mix", "try", str(recipe), "unimax", "--set", f"root={tmp_path}"]) == 2
    assert "run it with --until domains first" in capsys.readouterr().err
