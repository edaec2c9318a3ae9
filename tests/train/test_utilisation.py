"""FLOPs of a step against a count by torch, and peaks by the names that devices go by."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from train.model.config import ModelConfig, named_model
from train.model.init import initialise
from train.model.llama import Transformer
from train.utilisation import model_flops_per_token, peak_flops, utilisation


def test_flops_are_those_that_torch_counts() -> None:
    """Forward and backward of a whole model; torch counts full attention, and no norms."""
    config = ModelConfig(vocab_size=512, dim=64, num_layers=3, num_heads=4, ffn_multiple=32, max_sequence_length=128)
    model = Transformer(config)
    initialise(model, 0)
    tokens = torch.randint(0, 512, (2, 128))
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        model(tokens).sum().backward()
    assert model_flops_per_token(config, 128) == pytest.approx(counter.get_total_flops() / tokens.numel(), rel=0.02)


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H200", 989),
        ("NVIDIA H20", 148),
        ("NVIDIA GB200", 2500),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("cpu", None),
        ("NVIDIA GeForce GTX 1080", None),
    ],
)
def test_peaks(name: str, tera: float | None) -> None:
    assert peak_flops(name) == (None if tera is None else tera * 1e12)


def test_the_share_of_the_peak() -> None:
    """7B at 4,096: 4.6e10 FLOPs a token, so that 10,000 tokens/s are 46% of an H100."""
    config = named_model("7b")
    assert model_flops_per_token(config, 4096) == pytest.approx(4.5e10, rel=0.03)
    assert utilisation(config, 4096, 10_000, 989e12) == pytest.approx(0.455, rel=0.03)
