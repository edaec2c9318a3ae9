"""The in-place loss against PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import train.model.loss
from train.model.loss import IGNORED, chunk_rows, cross_entropy_sum, token_losses


def reference(logits: torch.Tensor, targets: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = logits.detach().clone().requires_grad_()
    loss = F.cross_entropy(leaf.float().flatten(0, -2), targets.flatten(), reduction="sum") * scale
    loss.backward()
    return loss.detach(), leaf.grad


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 70), st.integers(2, 300), st.floats(0.001, 10), st.integers(0, 2**31), st.integers(1, 40))
def test_loss_and_gradient_are_pytorchs(rows: int, vocabulary: int, scale: float, seed: int, chunk: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, vocabulary, generator=generator) * 5
    targets = torch.randint(0, vocabulary, (rows,), generator=generator)
    targets[torch.rand(rows, generator=generator) < 0.2] = IGNORED
    expected, expected_gradient = reference(logits, targets, scale)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(train.model.loss.CHUNK_ELEMENTS, "cpu", chunk * vocabulary)
        leaf = logits.clone().requires_grad_()
        loss = cross_entropy_sum(leaf * 1.0, targets, scale)
        loss.backward()
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(leaf.grad, expected_gradient, rtol=1e-4, atol=1e-6)


def test_bf16_logits_hold_a_bf16_gradient() -> None:
    logits = (torch.randn(64, 500, generator=torch.Generator().manual_seed(0)) * 3).bfloat16()
    targets = torch.arange(64)
    expected, expected_gradient = reference(logits, targets, 1.0)
    leaf = logits.clone().requires_grad_()
    loss = cross_entropy_sum(leaf.view(64, 500), targets)
    loss.backward()
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-5, atol=1e-4)
    assert leaf.grad.dtype == torch.bfloat16
    torch.testing.assert_close(leaf.grad, expected_gradient, rtol=0, atol=0)


def test_the_gradient_lies_in_the_memory_of_the_logits() -> None:
    hidden = torch.randn(8, 16, requires_grad=True)
    logits = hidden @ torch.randn(16, 50)
    address, before = logits.data_ptr(), logits.detach().clone()
    loss = cross_entropy_sum(logits, torch.zeros(8, dtype=torch.long))
    assert logits.data_ptr() == address
    expected = before.softmax(-1) - F.one_hot(torch.zeros(8, dtype=torch.long), 50)
    torch.testing.assert_close(logits.detach(), expected, rtol=1e-4, atol=1e-6)
    loss.backward()
    assert hidden.grad is not None


def test_a_later_factor_reaches_the_gradient() -> None:
    leaf = torch.randn(4, 9, requires_grad=True)
    (cross_entropy_sum(leaf * 1.0, torch.arange(4)) * 3).backward()
    other = leaf.detach().clone().requires_grad_()
    (F.cross_entropy(other, torch.arange(4), reduction="sum") * 3).backward()
    torch.testing.assert_close(leaf.grad, other.grad)


def test_without_gradient_the_logits_stay() -> None:
    logits = torch.randn(6, 11)
    before = logits.clone()
    with torch.no_grad():
        total = cross_entropy_sum(logits, torch.arange(6))
    losses = token_losses(logits.view(2, 3, 11), torch.arange(6).view(2, 3))
    assert torch.equal(logits, before)
    assert losses.shape == (2, 3)
    torch.testing.assert_close(losses.sum(), total)


def test_a_row_larger_than_a_chunk_is_one_chunk() -> None:
    assert chunk_rows(torch.empty(1, 10**9, device="meta")) == 1
