"""`headwater train` on plain folders of token shards."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main
from tests.token_folders import write_shards


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    generator = np.random.default_rng(0)
    return {
        folder: write_shards(
            tmp_path / folder, [[np.append(generator.integers(1, 64, 30), 0) for _ in range(40)]], vocab_size=64
        )
        for folder in ("tokens/domain=web", "tokens/domain=code", "held-out/domain=web")
    }


def command(folders: dict[str, str], out: Path, *options: str) -> list[str]:
    tokens = [folders["tokens/domain=web"], folders["tokens/domain=code"]]
    small = ["--threads", "1", "--steps", "4", "--batch-size", "2", "--sequence-length", "16", "--warmup-steps", "1"]
    return ["train", "--tokens", *tokens, "--out", str(out), *small, *options]


def test_it_trains_and_says_where_the_model_is(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = command(
        folders,
        out,
        "--weights",
        "web=3",
        "code=1",
        "--validation",
        folders["held-out/domain=web"],
        "--precision",
        "bf16",
    )
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert f"model: {out}/export" in printed
    assert "bits per byte of held-out text: web " in printed
    assert "step 4/4" in printed
    summary = json.loads((out / "manifest.json").read_text())["summary"]
    assert {name: domain["tokens"] for name, domain in summary["domains"].items()} == {"web": 6 * 16, "code": 2 * 16}
    assert (out / "export/model.safetensors").exists()
    assert main(words) == 0
    assert "resumed at step 4 of 4" in capsys.readouterr().out


def test_the_mixture_changes_behind_what_is_trained(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A finished run is lengthened with other weights; a change in what it has read already is refused."""
    out = tmp_path / "out"
    words = command(folders, out, "--weights", "web=1", "code=0", "--packing", "best_fit", "--schedule", "wsd")
    assert main([*words, "--mixture-change", "96", "code=1"]) == 0
    summary = json.loads((out / "manifest.json").read_text())["summary"]
    assert {name: domain["tokens"] for name, domain in summary["domains"].items()} == {"web": 6 * 16, "code": 2 * 16}
    capsys.readouterr()
    assert main([*words, "--mixture-change", "96", "code=1", "--mixture-change", "128", "web=1"]) == 0
    assert "resumed at step 4 of 4" in capsys.readouterr().out
    assert main([*words, "--mixture-change", "64", "code=1"]) == 1
    assert "up to there" in capsys.readouterr().err
    assert main([*words, "--mixture-change", "64"]) == 2
    assert main([*words, "--mixture-change", "64", "books=1"]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "none"], "--steps none: Input should be a valid integer"),
        (["--model", "huge"], "--model huge: Input should be 'nano'"),
        (["--weights", "web"], "NAME=SHARE"),
        (["--weights", "web=1", "web=2"], "once for each domain"),
        (["--tokenizer", "nowhere"], "nowhere: no tokenizer.json"),
        (["--schedule", "cosine", "--reuse-stage-one", "x"], "--reuse-stage-one x: a cosine schedule has no constant"),
        (["--weights", "books=1"], "there are tokens only of"),
        (["--micro-batch-size", "3"], "--micro-batch-size 3: a batch of 2 cannot be cut into micro-batches of 3"),
        (["--num-kv-heads", "3"], "--num-kv-heads 3: 4 heads do not divide among 3 key-value heads"),
    ],
)
def test_wrong_options_are_said(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(command(folders, tmp_path / "out", *options)) == 2
    assert message in capsys.readouterr().err


def test_other_settings_need_restart(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(command(folders, out)) == 0
    assert main(command(folders, out, "--seed", "5")) == 1
    assert "--restart" in capsys.readouterr().err
    assert main(command(folders, out, "--seed", "5", "--restart")) == 0


def test_a_folder_without_tokens_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--tokens", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "manifest.json" in capsys.readouterr().err


def test_a_recipe_needs_its_token_shards_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.jsonl").write_text('{"text": "a text", "id": "a"}\n')
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"{{name: small, root: {tmp_path}/root, inputs: [{{files: [{tmp_path}/text.jsonl], name: notes}}]}}"
    )
    assert main(["train", str(recipe)]) == 1
    assert "needs" in capsys.readouterr().err
    assert main(["train", str(recipe), "--set", "train.mesh.tp=3"]) == 2
    assert "tp 3 does not divide 4 attention heads (4 / 3 = 1.33333)" in capsys.readouterr().err
    assert main(["train", str(recipe), "--steps", "5"]) == 2
    assert "--set train.NAME=VALUE" in capsys.readouterr().err
    assert main(["train", str(recipe), "--set", "train=null"]) == 2
    assert "train: null" in capsys.readouterr().err
    assert main(["train"]) == 2
    assert "give a RECIPE" in capsys.readouterr().err


def test_several_processes_are_one_run(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    assert main(command(folders, out, "--mesh", "pp=2", "--validation", folders["held-out/domain=web"])) == 0
    assert f"model: {out}/export" in capsys.readouterr().out
    assert main(command(folders, alone, "--validation", folders["held-out/domain=web"])) == 0
    ours, theirs = (json.loads((path / "manifest.json").read_text())["summary"] for path in (out, alone))
    assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-3)
    assert ours["domains"] == theirs["domains"]
    assert main(command(folders, out, "--mesh", "pp=x")) == 2
    assert "--mesh pp x: Input should be a valid integer" in capsys.readouterr().err
    assert main(command(folders, out, "--mesh", "pp=2,qq=2")) == 2
    assert "--mesh qq 2: unknown; the valid names are: pp, dp, tp" in capsys.readouterr().err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--help"])
    assert stopped.value.code == 0
    assert "headwater train --tokens tokens --model nano" in capsys.readouterr().out
