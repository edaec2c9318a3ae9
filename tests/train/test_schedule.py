"""Learning-rate schedules at the points that define them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.model.llama import Transformer
from train.optimizer import build_optimizer
from train.schedule import SCHEDULES, cosine, last_constant_step, multi_step, phase_ends, wsd
from train.settings import TrainSettings


def test_multi_step_is_the_papers() -> None:
    batch, total = 2304 * 4096, 2_000_000_000_000
    warmup = 2000 * batch
    assert multi_step(batch, total, warmup) == pytest.approx(1 / 2000)
    assert multi_step(warmup, total, warmup) == 1.0
    assert multi_step(1_600_000_000_000, total, warmup) == 1.0
    assert multi_step(1_600_000_000_001, total, warmup) == 0.316
    assert multi_step(1_800_000_000_000, total, warmup) == 0.316
    assert multi_step(1_800_000_000_001, total, warmup) == 0.1
    assert phase_ends(total) == (1_600_000_000_000, 1_800_000_000_000)


def test_the_first_phase_does_not_know_the_length() -> None:
    for tokens in range(0, 800, 7):
        assert multi_step(tokens, 1000, 100) == multi_step(tokens, 5000, 100)


def test_cosine_and_wsd_end_at_a_tenth() -> None:
    assert cosine(100, 1000, 100) == pytest.approx(1.0)
    assert cosine(550, 1000, 100) == pytest.approx(0.55)
    assert cosine(1000, 1000, 100) == pytest.approx(0.1)
    assert wsd(800, 1000, 100) == 1.0
    assert wsd(900, 1000, 100) == pytest.approx(0.55)
    assert wsd(1000, 1000, 100) == pytest.approx(0.1)


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 10**13), st.data())
def test_rates_rise_in_the_warmup_and_never_after(name: str, total: int, data: st.DataObject) -> None:
    warmup = data.draw(st.integers(0, total // 2))
    points = sorted(data.draw(st.lists(st.integers(1, total), min_size=2, max_size=10)))
    rates = [SCHEDULES[name](point, total, warmup) for point in points]
    assert all(0 < rate <= 1 for rate in rates)
    for (early, one), (late, other) in zip(zip(points, rates), zip(points[1:], rates[1:])):
        if late <= warmup:
            assert one <= other
        elif early >= warmup:
            assert one >= other - 1e-12


@given(st.sampled_from(["multi_step", "wsd"]), st.integers(1, 300_000), st.sampled_from([1, 7, 2048, 9_437_184]))
def test_the_constant_phase_ends_where_the_rate_first_falls(name: str, steps: int, batch: int) -> None:
    last = last_constant_step(steps, batch)
    assert 0 <= last < steps or steps * batch < 3
    assert all(SCHEDULES[name](step * batch, steps * batch, 0) == 1 for step in range(max(1, last - 1), last + 1))
    if last < steps:
        assert SCHEDULES[name]((last + 1) * batch, steps * batch, 0) < 1


def test_only_matrices_decay() -> None:
    model = Transformer(TrainSettings().build_model_config(64))
    optimizer = build_optimizer(model, 1e-3)
    decay, plain = optimizer.param_groups
    assert (decay["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(p.dim() == 2 for p in decay["params"])
    assert all(p.dim() == 1 for p in plain["params"])
    assert len(decay["params"]) + len(plain["params"]) == len(list(model.parameters()))
    assert optimizer.defaults["betas"] == (0.9, 0.95)
    assert optimizer.defaults["eps"] == 1e-8
    assert isinstance(optimizer, torch.optim.AdamW)
