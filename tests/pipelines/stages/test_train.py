"""The train stage: one task, fingerprinted by what decides the weights, resumed when killed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from corpus.errors import HeadwaterError
from corpus.io import storage
from pipelines.commands.submit import absolute
from pipelines.config.train import TrainParameters
from pipelines.engine import pipeline
from pipelines.engine.stage import NotPlanned, Task, Upstream
from pipelines.engine.stamps import is_intact, read_stamp
from pipelines.results.summary import summary
from pipelines.stages import train as stage_module
from pipelines.stages.train import TrainStage
from tests.pipelines.small_run import small_recipe
from tests.token_folders import write_shards
from train.metrics import read_metrics

PARAMETERS = TrainParameters(threads=1, steps=6, batch_size=4, sequence_length=16, warmup_steps=2, validate_every=3)
INPUTS = Upstream()
INPUTS.add("tokenizer", [Task("tokenizer", "tokenizer/manifest.json", (), {}, "of the tokenizer")])
INPUTS.add("token_mixture", [Task("token_mixture", "mixture/tokens.json", (), {}, "of the mixture")])


def made_root(root: Path) -> str:
    """What the earlier stages leave: shards of two domains, held-out text of one, and the plan."""
    generator = np.random.default_rng(0)
    for folder in ("tokens/domain=web", "tokens/domain=code", "validation/domain=web"):
        write_shards(root / folder, [[np.append(generator.integers(1, 64, 30), 0) for _ in range(40)]], vocab_size=64)
    plan = {
        "domains": [
            {"domain": "web", "weight": 0.75},
            {"domain": "code", "weight": 0.25},
            {"domain": "no", "weight": 0},
        ]
    }
    storage.write_json(str(root / "mixture/tokens.json"), plan)
    (root / "tokenizer").mkdir()
    (root / "tokenizer/tokenizer.json").write_text('{"added_tokens": [{"id": 0, "content": "<end>"}]}')
    return str(root)


def run(root: str, parameters: TrainParameters = PARAMETERS) -> Task:
    """Run the stage alone; the tasks of the earlier ones count as given."""
    stage = TrainStage(root, parameters)
    (task,) = stage.plan(INPUTS)
    if pipeline.check(stage, [task], verify=True)[0] is None:
        stage.run(task)
        assert pipeline.check(stage, [task], verify=True)[0] is not None
    return task


def test_a_run_leaves_a_stamped_model(tmp_path: Path) -> None:
    root = made_root(tmp_path)
    task = run(root)
    manifest = json.loads((tmp_path / "train/manifest.json").read_text())
    assert manifest["fingerprint"] == task.fingerprint
    assert manifest["counts"] == {"steps": 6, "tokens": 6 * 64, "documents": 0, "bytes": 0}
    assert manifest["files"].keys() == {
        f"train/export/{name}"
        for name in (
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        )
    }
    summary = manifest["summary"]
    assert summary["domains"]["web"]["tokens"] == 18 * 16
    assert summary["bits_per_byte"].keys() == {"web", "all"}
    assert "no" not in summary["domains"]
    assert [record["step"] for record in read_metrics(str(tmp_path / "train/metrics.jsonl"))] == list(range(1, 7))
    tokenizer = json.loads((tmp_path / "train/export/tokenizer_config.json").read_text())
    assert tokenizer["eos_token"] == "<end>"


def test_two_runs_have_the_same_bytes_and_a_damaged_model_is_found(tmp_path: Path) -> None:
    one, two = made_root(tmp_path / "one"), made_root(tmp_path / "two")
    run(one)
    run(two)
    for name in ("manifest.json", "export/model.safetensors"):
        assert (tmp_path / "one/train" / name).read_bytes() == (tmp_path / "two/train" / name).read_bytes()
    weights = tmp_path / "two/train/export/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    stamp = read_stamp(f"{two}/train/manifest.json")
    assert not is_intact(two, "train/manifest.json", stamp)
    run(two)  # exported again from the last checkpoint
    assert weights.read_bytes() == (tmp_path / "one/train/export/model.safetensors").read_bytes()


def test_only_what_decides_the_weights_is_fingerprinted(tmp_path: Path) -> None:
    def fingerprint(**changes: object) -> str:
        stage = TrainStage(str(tmp_path), PARAMETERS.model_copy(update=changes))
        return stage.plan(INPUTS)[0].fingerprint

    assert fingerprint(checkpoint_seconds=1.0, keep_checkpoints=9, reuse_stage_one="other") == fingerprint()
    for change in ({"steps": 7}, {"seed": 1}, {"model": "micro"}, {"learning_rate": 1e-4}, {"threads": 2}):
        assert fingerprint(**change) != fingerprint()
    other = Upstream()
    other.add("tokenizer", INPUTS["tokenizer"])
    other.add("token_mixture", [Task("token_mixture", "mixture/tokens.json", (), {}, "of another mixture")])
    assert TrainStage(str(tmp_path), PARAMETERS).plan(other)[0].fingerprint != fingerprint()


def test_a_changed_parameter_starts_anew(tmp_path: Path) -> None:
    root = made_root(tmp_path)
    run(root)
    before = (tmp_path / "train/export/model.safetensors").read_bytes()
    run(root, PARAMETERS.model_copy(update={"seed": 1}))
    assert (tmp_path / "train/export/model.safetensors").read_bytes() != before
    assert [record["step"] for record in read_metrics(str(tmp_path / "train/metrics.jsonl"))] == list(range(1, 7))


def test_the_engine_runs_it(tmp_path: Path) -> None:
    root = made_root(tmp_path)

    class Planned(TrainStage):
        def plan(self, upstream: Upstream) -> list[Task]:
            return super().plan(INPUTS)

    for times in (1, 2):
        (result,) = pipeline.run([Planned(root, PARAMETERS)], Console(quiet=True), verify=True, on_ray=False)
        assert result.failed == []
        assert result.counts["steps"] == 6
        assert result.done_before == times - 1


def test_without_tokens_nothing_is_planned(tmp_path: Path) -> None:
    with pytest.raises(NotPlanned, match="tokenizer"):
        TrainStage(str(tmp_path), PARAMETERS).plan(Upstream())


def test_planning_needs_no_torch() -> None:
    program = "import sys; import pipelines.stages.train, pipelines.commands.train; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_missing_torch_is_a_message_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("train.") and name != "train.settings"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(HeadwaterError, match=r"pip install 'headwater\[train\]'"):
        stage_module.require_torch()


def test_the_summary_has_bits_per_byte_where_they_were_measured(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, tmp_path)
    for bits, lines in (({}, []), ({"web": 1.25, "code": None}, ["bits per byte: web 1.250"])):
        storage.write_json(str(tmp_path / "train/manifest.json"), {"summary": {"bits_per_byte": bits}})
        assert summary(recipe) == lines


def test_a_job_finds_the_shorter_run_that_its_recipe_names() -> None:
    recipe = small_recipe("crawl", "root", train={"reuse_stage_one": "shorter/train"})
    assert absolute(recipe).train.reuse_stage_one == f"{Path.cwd()}/shorter/train"
