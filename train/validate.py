"""Bits per byte on held-out text, domain by domain: a loss that does not depend on the tokenizer.

The model reads a domain's held-out tokens in sequences, in the order of the shards, and each token is predicted once.
The summed negative log-likelihood, in bits, is divided by the UTF-8 bytes of the text. Tokens that stand for no text
(beginning and end of a document) are context and not counted in the sum. So a domain of short documents is not
charged for their number. Sequences do not overlap, so the first tokens of each are predicted from little context, as
is usual where this is reported. Compare figures at equal sequence length only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenizer.shards import TokenShards
from train.data.domain_tokens import first_tokens


@dataclass(frozen=True)
class BitsPerByte:
    """What was measured of a domain. Where not all tokens were read, `bytes` follows from their share."""

    nats: float
    tokens: int
    bytes: float

    @property
    def bits_per_byte(self) -> float:
        """nats / ln 2 / bytes; not a number where there is no text."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan

    def __add__(self, other: "BitsPerByte") -> "BitsPerByte":
        return BitsPerByte(self.nats + other.nats, self.tokens + other.tokens, self.bytes + other.bytes)


def measure(
    losses: Callable[[Tensor, Tensor], Tensor],
    shards: TokenShards,
    *,
    sequence_length: int,
    batch_size: int,
    limit: int | None,
    device: torch.device,
) -> BitsPerByte:
    """Bits per byte of the first `limit` tokens of a folder of shards (None: of all), in batches of sequences.

    `losses` gives the nats of each target: int64 inputs and targets [B, T] to fp32 [B, T]. Every token but the
    folder's first is predicted once. The bytes are exactly those of the text when all tokens are read.
    """
    tokens = first_tokens(shards, limit)
    textless = torch.tensor([token for name in ("bos", "eos") if (token := shards.manifest.get(name)) is not None])
    nats = 0.0
    for start in range(0, len(tokens) - 1, sequence_length * batch_size):
        batch = torch.from_numpy(tokens[start : start + sequence_length * batch_size + 1]).long()
        whole = (len(batch) - 1) // sequence_length * sequence_length
        for inputs, targets in (
            (batch[:whole].view(-1, sequence_length), batch[1 : whole + 1].view(-1, sequence_length)),
            (batch[None, whole:-1], batch[None, whole + 1 :]),
        ):
            if inputs.numel():
                found = losses(inputs.to(device), targets.to(device))
                nats += _text_only(found.cpu(), targets, textless)
    share = len(tokens) / max(1, shards.num_tokens)
    return BitsPerByte(nats, len(tokens), shards.num_bytes * share)


def _text_only(losses: Tensor, targets: Tensor, textless: Tensor) -> float:
    return float(losses.double()[~torch.isin(targets, textless)].sum())
