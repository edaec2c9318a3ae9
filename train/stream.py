"""`from train.stream import TokenStream`: the token stream under its short name."""

from train.data.stream import TokenStream

__all__ = ["TokenStream"]
