"""Bits per byte against a count by hand."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.token_folders import write_shards
from tokenizer.shards import open_shards
from train.model.config import ModelConfig
from train.model.init import initialise
from train.model.llama import Transformer
from train.model.loss import token_losses
from train.validate import BitsPerByte, measure

CONFIG = ModelConfig(
    vocab_size=64, dim=32, num_layers=1, num_heads=2, ffn_multiple=16, max_sequence_length=16, init_std=0.3
)
CPU = torch.device("cpu")


def documents(*lengths: int) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    return [np.append(generator.integers(1, 64, length), 0) for length in lengths]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return write_shards(tmp_path / "v", [documents(20, 3, 50), documents(31)], vocab_size=64, text_bytes=250)


@pytest.fixture
def model() -> Transformer:
    made = Transformer(CONFIG)
    initialise(made, 1)
    return made


def losses_of(model: Transformer) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    def losses(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return token_losses(model(inputs), targets)

    return losses


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_every_token_is_predicted_once(folder: str, model: Transformer, batch_size: int) -> None:
    shards = open_shards(folder)
    tokens = torch.from_numpy(np.concatenate([shards.tokens(0), shards.tokens(1)])).long()
    assert len(tokens) == 21 + 4 + 51 + 32
    nats = 0.0
    for start in range(0, len(tokens) - 1, 16):  # windows of 16, the last shorter
        window = tokens[start : start + 17]
        logits = model(window[None, :-1])[0]
        losses = F.cross_entropy(logits, window[1:], reduction="none")
        nats += losses[window[1:] != 0].sum().item()
    found = measure(losses_of(model), shards, sequence_length=16, batch_size=batch_size, limit=None, device=CPU)
    assert found.nats == pytest.approx(nats, rel=1e-6)
    assert (found.tokens, found.bytes) == (108, 500.0)
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / 500)


def test_a_model_that_knows_nothing_needs_all_bits(folder: str, model: Transformer) -> None:
    torch.nn.init.zeros_(model.output.weight)
    found = measure(losses_of(model), open_shards(folder), sequence_length=16, batch_size=4, limit=None, device=CPU)
    assert found.bits_per_byte == pytest.approx(
        (108 - 1 - 4) * 6 / 500
    )  # 6 bits for each token but the marks and the first


def test_a_limit_reads_the_first_tokens(folder: str, model: Transformer) -> None:
    torch.nn.init.zeros_(model.output.weight)
    found = measure(losses_of(model), open_shards(folder), sequence_length=16, batch_size=4, limit=54, device=CPU)
    assert found.tokens == 54
    assert found.bytes == pytest.approx(250)  # half of the tokens
    assert found.nats == pytest.approx((53 - 2) * math.log(64), rel=1e-6)


def test_sums_and_empty_domains() -> None:
    total = BitsPerByte(math.log(2) * 8, 10, 4) + BitsPerByte(0.0, 0, 0)
    assert total.bits_per_byte == pytest.approx(2)
    assert math.isnan(BitsPerByte(0.0, 0, 0).bits_per_byte)
