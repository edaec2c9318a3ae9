"""`from train.dataset import TokenLoader, TokenBatches`: the stream for a PyTorch loop under its short name."""

from train.data.dataset import TokenBatches, TokenLoader

__all__ = ["TokenBatches", "TokenLoader"]
