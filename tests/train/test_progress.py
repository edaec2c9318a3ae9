"""What a person sees of a run."""

import io

import pytest
from rich.console import Console

from train.loop import StepReport
from train.progress import LiveDisplay, PlainDisplay, describe


def report(step: int, **changes: object) -> StepReport:
    fields = {
        "step": step,
        "steps": 400,
        "tokens": step * 4096,
        "loss": 5.4321,
        "learning_rate": 0.003,
        "grad_norm": 1.0,
        "tokens_per_second": 5120.4,
        "seconds_left": 61.2,
    }
    return StepReport(**(fields | changes))


def test_a_step_in_a_line() -> None:
    line = describe(report(100, checkpoint=90, checkpoint_age=12.3))
    assert line == (
        "step 100/400  0.41M tokens  loss 5.432  lr 3.00e-03  5,120 tokens/s  ETA 0:01:02  checkpoint at 90 (12 s ago)"
    )
    assert "checkpoint" not in describe(report(1))


def test_what_is_known_of_the_device_and_of_held_out_text() -> None:
    line = describe(report(100, utilisation=0.4567), bits=1.2345)
    assert "  loss 5.432  1.234 bits/byte  " in line
    assert "  5,120 tokens/s  MFU 45.7%  " in line


def test_plain_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainDisplay()
    for step in range(1, 400):
        display.step(report(step, bits_per_byte={"web": 1.5, "all": 1.25} if step == 200 else {}))
    display.step(report(400))
    display.note("resumed at step 3")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "train: step 1/400",
        "train: step 200/400",
        "train: bits per byte: web 1.500",
        "train: step 400/400",
        "train: resumed at step 3",
    ]


def test_the_live_line_ends_with_the_last_step() -> None:
    out = io.StringIO()
    with LiveDisplay(Console(file=out, force_terminal=True, width=140)) as display:
        for step in (1, 2, 400):
            display.step(report(step, bits_per_byte={"all": 1.25} if step == 2 else {}))
    text = out.getvalue()
    assert "step 2  bits per byte: all 1.250" in text
    assert "1.250 bits/byte" in text[text.rfind("step 400/400") :]
    assert text.rfind("step 400/400") > text.rfind("step 2/400")
