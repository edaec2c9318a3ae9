"""The model is LLaMA's: the paper's sizes, transformers' logits, and an order-free initialisation."""

import dataclasses

import pytest
import torch

from corpus.errors import UsageError
from train.model.config import MODELS, ModelConfig, named_model
from train.model.init import initialise
from train.model.llama import Transformer

TINY = ModelConfig(vocab_size=97, dim=64, num_layers=2, num_heads=4, ffn_multiple=16, max_sequence_length=64)


def build(config: ModelConfig, seed: int = 1) -> Transformer:
    model = Transformer(config)
    initialise(model, seed)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_counted_right(name: str) -> None:
    with torch.device("meta"):
        model = Transformer(MODELS[name])
    assert sum(parameter.numel() for parameter in model.parameters()) == MODELS[name].num_parameters


def test_the_papers_models_have_the_papers_sizes() -> None:
    assert MODELS["7b"].num_parameters == 6_910_365_696
    assert MODELS["67b"].num_parameters == 67_425_001_472
    assert (MODELS["7b"].ffn_dim, MODELS["67b"].ffn_dim) == (11_008, 22_016)
    assert MODELS["7b"].flops_per_token(4096) == pytest.approx(4.228e10, rel=1e-3)
    assert MODELS["67b"].flops_per_token(4096) == pytest.approx(4.973e11, rel=1e-3)


def test_the_ladder_ascends() -> None:
    sizes = [config.num_parameters for config in MODELS.values()]
    assert sizes == sorted(sizes)
    small = named_model("nano", vocab_size=4096)
    assert small.num_parameters - 2 * 4096 * small.dim < 1e6


@pytest.mark.parametrize("wrong", [{"num_heads": 5}, {"num_kv_heads": 3}, {"num_heads": 64}])
def test_shapes_that_do_not_fit_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="heads"):
        dataclasses.replace(TINY, **wrong)
    with pytest.raises(UsageError, match="choose one of nano"):
        named_model("huge")


def test_weights_depend_on_their_name_and_seed_alone() -> None:
    small, deep = build(TINY), build(dataclasses.replace(TINY, num_layers=5))
    for name, value in small.state_dict().items():
        assert torch.equal(value, deep.state_dict()[name])
    other = build(TINY, seed=2)
    assert not torch.equal(small.output.weight, other.output.weight)
    matrices = torch.cat([p.flatten() for p in deep.parameters() if p.dim() > 1])
    assert matrices.std().item() == pytest.approx(0.006, rel=0.01)
    assert matrices.mean().abs().item() < 1e-4
    assert all((p == 1).all() for p in deep.parameters() if p.dim() == 1)
    assert len({p.flatten()[:8].sum().item() for p in deep.parameters() if p.dim() > 1}) == 5 * 7 + 2


def test_the_future_is_not_seen() -> None:
    model = build(TINY)
    tokens = torch.randint(0, 97, (1, 40), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 25:] = (changed[0, 25:] + 1) % 97
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :25], after[:, :25])
    assert not torch.equal(before[:, 25:], after[:, 25:])


def test_the_document_mask_hides_other_documents() -> None:
    """A document in a packed window, at its own positions, has the logits it has alone."""
    config = dataclasses.replace(TINY, init_std=0.1)
    model = build(config)
    tokens = torch.randint(0, 97, (1, 30), generator=torch.Generator().manual_seed(0))
    documents = torch.tensor([[0] * 12 + [1] * 18])
    packed = model(tokens, documents)
    torch.testing.assert_close(packed[:, :12], model(tokens[:, :12]), atol=1e-5, rtol=0)
    # RoPE is relative, so a document that begins later sees the same distances
    torch.testing.assert_close(packed[:, 12:], model(tokens[:, 12:]), atol=1e-5, rtol=0)
    assert (packed[:, 12:] - model(tokens)[:, 12:]).abs().max() > 1e-3


def test_stages_of_a_pipeline_make_the_whole() -> None:
    whole, first, last = build(TINY), build(TINY), build(TINY)
    first.norm = first.output = None
    del first.layers["1"]
    last.embedding = None
    del last.layers["0"]
    tokens = torch.randint(0, 97, (2, 20), generator=torch.Generator().manual_seed(0))
    assert torch.equal(last(first(tokens)), whole(tokens))
