"""Every layout computes what one process computes, sends each weight once and holds what ZeRO-1 says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LAUNCH = Path(__file__).with_name("parallel_launch.py")
LAYOUTS = ["2,1,1", "1,1,2", "1,2,1", "4,1,1", "2,1,2", "2,2,1", "1,2,2", "2,2,2"]  # pp, dp, tp
FP32_LOSS, FP32_GRADIENT = 2e-6, 5e-6  # nats; parts of a tensor's largest gradient
BF16_LOSS, BF16_GRADIENT = 2e-3, 0.06  # nats; parts of a tensor's norm. bf16 on one process is off by 0.03


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What each process of each layout found; the maximum errors are printed."""
    out = tmp_path_factory.mktemp("parallel") / "found.json"
    run = subprocess.run(
        [sys.executable, LAUNCH, out, *LAYOUTS],
        capture_output=True,
        text=True,
        timeout=500,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # as many processes as this share the cores
        check=False,
    )
    assert run.returncode == 0, run.stderr[-5000:]
    found: dict[str, list[dict[str, Any]]] = json.loads(out.read_text())
    errors = ("loss", "gradients", "norm", "validation", "bf16_loss", "bf16_gradients")
    print("\nmaximum error    " + "".join(f"{name:>16}" for name in errors))
    for layout, ranks in found.items():
        worst = [max(rank.get(name, 0.0) for rank in ranks) for name in errors]
        print(f"pp,dp,tp {layout:8}" + "".join(f"{value:16.2e}" for value in worst))
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fp32_loss_and_gradients_are_those_of_one_process(launched: dict, layout: str) -> None:
    ranks = launched[layout]
    for rank in ranks:
        assert rank["same_start"]
        assert rank["loss"] < FP32_LOSS
        assert rank["gradients"] < FP32_GRADIENT
        assert rank["clipped"] < FP32_GRADIENT
        assert rank["norm"] < FP32_LOSS
        assert rank["validation"] < 10 * FP32_LOSS
        # Adam divides by the gradient, so what is left of a rounding error grows; stale weights would be far off
        assert rank["later_loss"] < 1e-4 < 1e-2 < rank["learned"]
    everything = launched["1,1,1"][0]["parameters"]
    assert sorted({name for rank in ranks for name in rank["parameters"]}) == everything


def test_the_loss_over_a_split_vocabulary_is_the_whole_ones(launched: dict) -> None:
    """In several chunks, with targets that count for nothing and a factor that comes later."""
    found = [rank["split_loss"] for ranks in launched.values() for rank in ranks if "split_loss" in rank]
    assert len(found) == 2 + 4 + 4 + 8
    assert max(found) < 2e-5


@pytest.mark.parametrize("layout", ["1,1,1", *LAYOUTS])
def test_bf16_is_within_its_tolerance(launched: dict, layout: str) -> None:
    for rank in launched[layout]:
        assert rank["bf16_loss"] < BF16_LOSS
        assert 0 < rank["bf16_gradients"] < BF16_GRADIENT


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_gather_and_one_reduction_a_group_and_step(launched: dict, layout: str) -> None:
    """Of two micro-batches or more; and the reductions run inside the last backward pass, not after it."""
    for rank in launched[layout]:
        expected = rank["groups"] if layout[2] != "1" else 0
        assert rank["all_gathers"] == rank["reduce_scatters"] == rank["reduced_in_last_backward"] == expected
        assert (rank["reduced_before_first_layer"] >= 1) == (expected > 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_process_holds_what_zero_1_says(launched: dict, layout: str) -> None:
    dp = int(layout[2])
    for rank in launched[layout]:
        assert rank["bytes_per_parameter"] == {
            "weights torch.bfloat16": 2.0,
            "gradients torch.float32": 4.0,
            "master torch.float32": 4.0 / dp,
            "moments torch.float32": 8.0 / dp,
        }
