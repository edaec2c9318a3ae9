"""The run: it learns, the same however it is cut up, and a killed one ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from corpus.errors import HeadwaterError, UsageError
from corpus.io import storage
from train.checkpoint.checkpoints import OtherRun
from train.data.stream import TokenStream
from train.loop import Display, StepReport, is_overdue
from train.metrics import read_metrics
from train.model.init import initialise
from train.model.llama import Transformer
from train.pretrain import RunData, choose_device, pretrain, shared_vocabulary
from train.settings import TrainSettings

SETTINGS = TrainSettings(
    threads=1, steps=30, batch_size=8, sequence_length=32, warmup_steps=3, validate_every=10, validation_tokens=300
)


class Recorder(Display):
    def __init__(self, stop_at: int | None = None) -> None:
        self.reports: list[StepReport] = []
        self.notes: list[str] = []
        self.stop_at = stop_at

    def step(self, report: StepReport) -> None:
        self.reports.append(report)
        if report.step == self.stop_at:
            raise KeyboardInterrupt

    def note(self, message: str) -> None:
        self.notes.append(message)


def data(folders: dict[str, str]) -> RunData:
    names = ("web", "code")
    return RunData(
        tokens={name: folders[name] for name in names},
        weights={"web": 0.75, "code": 0.25},
        validation={name: folders[f"held-out {name}"] for name in names},
    )


def without_times(folder: Path) -> list[dict]:
    records = read_metrics(str(folder / "metrics.jsonl"))
    assert all(record.pop("tokens_per_second") > 0 for record in records)
    return records


@pytest.fixture(scope="module")
def straight(text_shards: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, Recorder]:
    """A run that nothing disturbed."""
    folder, recorder = tmp_path_factory.mktemp("straight"), Recorder()
    return folder, pretrain(SETTINGS, data(text_shards), str(folder), recorder), recorder


def test_it_learns_and_says_so(straight: tuple[Path, dict, Recorder]) -> None:
    folder, summary, recorder = straight
    records = without_times(folder)
    assert [record["step"] for record in records] == list(range(1, 31))
    assert records[0]["loss"] == pytest.approx(5.545, abs=0.05)  # ln 256: nothing known yet
    assert records[-1]["loss"] < 4
    assert records[-1]["loss"] == summary["loss"]
    measured = [record["bits_per_byte"] for record in records if "bits_per_byte" in record]
    assert len(measured) == 3
    assert measured[2]["all"] < measured[0]["all"]
    assert [report.step for report in recorder.reports] == list(range(1, 31))
    assert recorder.reports[-1].checkpoint == 30
    assert recorder.reports[9].bits_per_byte.keys() == {"web", "code", "all"}
    assert summary["bits_per_byte"].keys() == {"web", "code", "all"}
    rates = [record["learning_rate"] for record in records]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[23:25] == [3e-3, pytest.approx(3e-3 * 0.316)]
    assert rates[26:28] == [pytest.approx(3e-3 * 0.316), pytest.approx(3e-4)]


def test_the_mixture_was_kept(straight: tuple[Path, dict, Recorder]) -> None:
    tokens = {name: domain["tokens"] for name, domain in straight[1]["domains"].items()}
    assert tokens == {"web": 180 * 32, "code": 60 * 32}
    assert straight[1]["tokens"] == 240 * 32


def test_ends_of_phases_stay(straight: tuple[Path, dict, Recorder]) -> None:
    assert sorted(path.name for path in (straight[0] / "checkpoints").iterdir()) == [
        "step-000000024",
        "step-000000027",
        "step-000000030",
    ]


def test_an_interrupted_run_ends_with_the_same_bytes(
    straight: tuple[Path, dict, Recorder], text_shards: dict[str, str], tmp_path: Path
) -> None:
    """Stopped after a checkpoint, then with the newest checkpoint damaged, then to the end."""
    often = SETTINGS.model_copy(update={"checkpoint_seconds": 0.0})
    with pytest.raises(KeyboardInterrupt):
        pretrain(often, data(text_shards), str(tmp_path), Recorder(stop_at=11))
    with pytest.raises(KeyboardInterrupt):
        pretrain(SETTINGS, data(text_shards), str(tmp_path), Recorder(stop_at=17))  # none saved since 11
    harmed = tmp_path / "checkpoints/step-000000011/__0_0.distcp"
    harmed.write_bytes(harmed.read_bytes()[:-100])
    recorder = Recorder()
    summary = pretrain(SETTINGS, data(text_shards), str(tmp_path), recorder)
    assert recorder.notes[1].startswith("refused a checkpoint")
    assert str(harmed) in recorder.notes[1]
    assert recorder.notes[2] == "resumed at step 10 of 30"
    assert without_times(tmp_path) == without_times(straight[0])
    assert summary == straight[1]
    for name in summary["export"]:
        assert (tmp_path / "export" / name).read_bytes() == (straight[0] / "export" / name).read_bytes()


def test_a_killed_process_ends_with_the_same_bytes(
    straight: tuple[Path, dict, Recorder], text_shards: dict[str, str], tmp_path: Path
) -> None:
    """SIGKILL at two moments of a real process that saves at every step, one of them wherever it happens to be."""
    program = (
        "import sys, json; from train.pretrain import *; from train.loop import Display; "
        "from train.settings import TrainSettings; s, d, out = json.loads(sys.argv[1]); "
        "pretrain(TrainSettings(**s), RunData(**d), out, Display())"
    )
    given = data(text_shards)
    chosen = SETTINGS.model_dump() | {"checkpoint_seconds": 0.0}
    argument = json.dumps(
        [chosen, {"tokens": given.tokens, "weights": given.weights, "validation": given.validation}, str(tmp_path)]
    )
    metrics = tmp_path / "metrics.jsonl"

    def start() -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", program, argument])

    for step, delay in ((6, 0.0), (15, 0.03)):
        process = start()
        deadline = time.monotonic() + 120
        while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= step):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert start().wait() == 0
    assert without_times(tmp_path) == without_times(straight[0])
    exported = "export/model.safetensors"
    assert (tmp_path / exported).read_bytes() == (straight[0] / exported).read_bytes()


def test_a_run_lives_in_an_object_store(
    straight: tuple[Path, dict, Recorder], text_shards: dict[str, str], s3_bucket: str
) -> None:
    """Metrics, checkpoints and export on S3; stopped after the checkpoint of a phase, then to the end."""
    out = f"{s3_bucket}/run"
    with pytest.raises(KeyboardInterrupt):
        pretrain(SETTINGS, data(text_shards), out, Recorder(stop_at=25))
    recorder = Recorder()
    assert pretrain(SETTINGS, data(text_shards), out, recorder) == straight[1]
    assert recorder.notes[1] == "resumed at step 24 of 30"
    records = [record | {"tokens_per_second": 0} for record in read_metrics(f"{out}/metrics.jsonl")]
    assert records == [record | {"tokens_per_second": 0} for record in without_times(straight[0])]
    exported = "export/model.safetensors"
    assert storage.read_bytes(f"{out}/{exported}") == (straight[0] / exported).read_bytes()


def test_it_is_the_textbook_loop(straight: tuple[Path, dict, Recorder], text_shards: dict[str, str]) -> None:
    """The first steps against PyTorch's own loss and a plain AdamW with nothing of ours around them."""
    given = data(text_shards)
    stream = TokenStream(given.tokens, sequence_length=32, seed=0, weights=given.weights)
    model = Transformer(SETTINGS.build_model_config(256))
    initialise(model, 0)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    gains = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}], betas=(0.9, 0.95), eps=1e-8
    )
    for step, record in enumerate(without_times(straight[0])[:8]):
        windows = torch.from_numpy(stream.batch(step * 8, 8)).long()
        loss = F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 3)
        optimizer.step()
        assert record["loss"] == pytest.approx(loss.item(), abs=2e-4)
        assert record["grad_norm"] == pytest.approx(norm.item(), rel=1e-2)


def test_a_finished_run_is_not_trained_again(
    straight: tuple[Path, dict, Recorder], text_shards: dict[str, str]
) -> None:
    recorder = Recorder()
    assert pretrain(SETTINGS, data(text_shards), str(straight[0]), recorder) == straight[1]
    assert recorder.reports == []


def test_micro_batches_and_precision_change_the_loss_by_rounding_only(
    straight: tuple[Path, dict, Recorder], text_shards: dict[str, str], tmp_path: Path
) -> None:
    expected = [record["loss"] for record in without_times(straight[0])]
    for change, tolerance in (({"micro_batch_size": 2}, 2e-3), ({"precision": "bf16"}, 0.05)):
        folder = tmp_path / next(iter(change))
        with pytest.raises(KeyboardInterrupt):
            pretrain(SETTINGS.model_copy(update=change), data(text_shards), str(folder), Recorder(stop_at=6))
        losses = [record["loss"] for record in without_times(folder)]
        assert losses == pytest.approx(expected[:6], abs=tolerance)
        assert losses != expected[:6]


def test_the_document_mask_trains(text_shards: dict[str, str], tmp_path: Path) -> None:
    recorder = Recorder(stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        pretrain(SETTINGS.model_copy(update={"document_mask": True}), data(text_shards), str(tmp_path), recorder)
    assert recorder.reports[2].loss < recorder.reports[0].loss


def test_other_settings_are_another_run(
    straight: tuple[Path, dict, Recorder], text_shards: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        pretrain(SETTINGS.model_copy(update={"checkpoint_seconds": 0}), data(text_shards), str(tmp_path), Recorder(2))
    other = SETTINGS.model_copy(update={"seed": 1})
    with pytest.raises(OtherRun, match="--restart"):
        pretrain(other, data(text_shards), str(tmp_path), Recorder())
    recorder = Recorder(stop_at=1)
    with pytest.raises(KeyboardInterrupt):
        pretrain(other, data(text_shards), str(tmp_path), recorder, restart=True)
    assert len(read_metrics(str(tmp_path / "metrics.jsonl"))) == 1


def test_a_loss_that_is_no_number_is_said(text_shards: dict[str, str], tmp_path: Path) -> None:
    wild = SETTINGS.model_copy(update={"learning_rate": 1e30, "warmup_steps": 0})
    with pytest.raises(HeadwaterError, match=r"not a finite number at step .*learning_rate"):
        pretrain(wild, data(text_shards), str(tmp_path), Recorder())


def test_different_tokenizers_are_refused(text_shards: dict[str, str], tmp_path: Path) -> None:
    import numpy as np

    from tests.token_folders import write_shards

    other = write_shards(tmp_path / "other", [[np.arange(10)]], tokenizer_hash="another")
    with pytest.raises(UsageError, match="different tokenizers"):
        shared_vocabulary([text_shards["web"], other])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said() -> None:
    with pytest.raises(UsageError, match="no CUDA device"):
        choose_device("cuda")


def test_a_longer_run_reuses_the_first_phase(
    straight: tuple[Path, dict, Recorder], text_shards: dict[str, str], tmp_path: Path
) -> None:
    """It is byte for byte the run that was longer from the start, and leaves the shorter one as it is."""
    longer = SETTINGS.model_copy(update={"steps": 45})
    reusing = longer.model_copy(update={"reuse_stage_one": str(straight[0])})
    before = sorted((path, path.stat().st_mtime_ns) for path in straight[0].rglob("*"))
    recorder = Recorder(stop_at=38)
    with pytest.raises(KeyboardInterrupt):
        pretrain(reusing, data(text_shards), str(tmp_path / "reusing"), recorder)
    assert recorder.notes[1] == f"goes on from {straight[0]} at step 24 of 45"
    again = Recorder()
    summary = pretrain(reusing, data(text_shards), str(tmp_path / "reusing"), again)
    assert again.notes[1] == "resumed at step 36 of 45"  # its own checkpoint comes first
    assert summary == pretrain(longer, data(text_shards), str(tmp_path / "whole"), Recorder())
    assert without_times(tmp_path / "reusing") == without_times(tmp_path / "whole")
    exported = "export/model.safetensors"
    assert (tmp_path / "reusing" / exported).read_bytes() == (tmp_path / "whole" / exported).read_bytes()
    assert sorted((path, path.stat().st_mtime_ns) for path in straight[0].rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 60, "seed": 1}, "only the number of steps may differ"),
        ({"steps": 60, "learning_rate": 1e-3}, "only the number of steps may differ"),
        ({"steps": 29}, "no checkpoint up to step 23"),
    ],
)
def test_another_first_phase_is_not_reused(
    straight: tuple[Path, dict, Recorder],
    text_shards: dict[str, str],
    tmp_path: Path,
    change: dict,
    message: str,
) -> None:
    settings = SETTINGS.model_copy(update=change | {"reuse_stage_one": str(straight[0])})
    with pytest.raises(HeadwaterError, match=message):
        pretrain(settings, data(text_shards), str(tmp_path), Recorder())
    with pytest.raises(UsageError, match="own folder"):
        pretrain(settings, data(text_shards), f"{straight[0]}/", Recorder(), restart=True)


def test_an_infinite_gradient_is_not_stepped_on(
    text_shards: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clipping by an infinite norm would make every weight NaN, and a checkpoint might be taken of that."""
    monkeypatch.setattr("train.distributed.parallel_model.ParallelModel.clip_gradients", lambda *given: float("inf"))
    with pytest.raises(HeadwaterError, match="at step 1 "):
        pretrain(SETTINGS, data(text_shards), str(tmp_path), Recorder(stop_at=2))


def test_held_out_tokens_without_text_leave_valid_json(text_shards: dict[str, str], tmp_path: Path) -> None:
    import numpy as np

    from tests.token_folders import write_shards

    marks = write_shards(tmp_path / "marks", [[np.zeros(1)] * 9])
    manifest = storage.read_json(f"{marks}/manifest.json")
    manifest["shards"][0]["bytes"] = 0
    storage.write_json(f"{marks}/manifest.json", manifest)
    given = RunData(tokens={"web": text_shards["web"]}, validation={"web": marks})
    out = str(tmp_path / "out")
    pretrain(SETTINGS.model_copy(update={"steps": 2, "warmup_steps": 0}), given, out, Recorder())
    assert "NaN" not in (tmp_path / "out/metrics.jsonl").read_text()


def test_a_reader_that_goes_away_is_no_fault_of_the_disk(text_shards: dict[str, str], tmp_path: Path) -> None:
    class Piped(Display):
        def step(self, report: StepReport) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        pretrain(SETTINGS, data(text_shards), str(tmp_path), Piped())


def test_a_place_that_cannot_be_written_is_said(text_shards: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (f"{tmp_path}/file", f"{tmp_path}/file/below"):
        with pytest.raises(HeadwaterError, match=f"{tmp_path}/file.*same command again"):
            pretrain(SETTINGS, data(text_shards), out, Recorder())
    with pytest.raises(UsageError, match="not written"):
        pretrain(SETTINGS, data(text_shards), "https://example.com/x", Recorder())


def test_a_checkpoint_is_whole_when_its_interval_ends() -> None:
    assert is_overdue(0, 0, 0, 1)
    assert [is_overdue(waited, 300, 0, 10) for waited in (139, 140)] == [False, True]  # the first: half of the interval
    for writing in (1.0, 40.0, 299.0):
        begun = next(waited for waited in range(0, 400, 7) if is_overdue(waited, 300, writing, 7))
        assert begun == 0 or 300 - 14 - writing < begun <= 300 - writing
