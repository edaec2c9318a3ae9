"""`from train.boundaries import cumulative_lengths, positions`: document boundaries under their short name."""

from train.data.boundaries import cumulative_lengths, positions

__all__ = ["cumulative_lengths", "positions"]
