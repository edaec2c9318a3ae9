"""The language model: a pre-norm decoder with RMSNorm, rotary positions, grouped-query attention and SwiGLU.

It knows nothing of devices, parallelism or training. The first and last parts (`embedding`, `norm`, `output`)
and any of the layers may be None. So a pipeline stage is this same module with less in it, under the
same parameter names.

Shapes: B batch, T tokens, D dim, H heads, K key-value heads, E head_dim, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.model.config import ModelConfig


class RMSNorm(nn.Module):
    """x / rms(x) * weight (Zhang and Sennrich 2019), computed in fp32."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).to(x.dtype)


def rotary_table(config: ModelConfig, length: int, device: torch.device | None = None) -> Tensor:
    """Cosines and sines of RoPE: fp32 [2, length, E], the halves repeated (Hugging Face's rotate-half convention)."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float, device=device) / config.head_dim
    angles = torch.outer(torch.arange(length, dtype=torch.float, device=device), 1.0 / config.rope_theta**exponents)
    angles = torch.cat((angles, angles), dim=-1)
    return torch.stack((angles.cos(), angles.sin()))


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Turn x [B, heads, T, E] by its positions."""
    cosine, sine = rotary.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


class Attention(nn.Module):
    """Causal self-attention; K < H heads share their keys and values."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.grouped = config.kv_heads != config.num_heads
        self.wq = nn.Linear(config.dim, config.num_heads * config.head_dim, bias=False)
        self.wk = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.wv = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.wo = nn.Linear(config.num_heads * config.head_dim, config.dim, bias=False)

    def forward(self, x_btd: Tensor, rotary: Tensor, mask: Tensor | None) -> Tensor:
        batch, length, _ = x_btd.shape
        # -1 heads, not H: under tensor parallelism each rank holds only its own
        q, k, v = (w(x_btd).view(batch, length, -1, self.head_dim).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        rotary = rotary[:, :length]
        q, k = rotate(q, rotary), rotate(k, rotary)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=self.grouped)
        mixed: Tensor = self.wo(out.transpose(1, 2).reshape(batch, length, -1))
        return mixed


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020): w2(silu(w1 x) * w3 x)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.dim, config.ffn_dim, bias=False)
        self.w2 = nn.Linear(config.ffn_dim, config.dim, bias=False)
        self.w3 = nn.Linear(config.dim, config.ffn_dim, bias=False)

    def forward(self, x_btd: Tensor) -> Tensor:
        out: Tensor = self.w2(F.silu(self.w1(x_btd)) * self.w3(x_btd))
        return out


class Block(nn.Module):
    """One layer: attention, then feed-forward, each on a normed input and added to it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.ffn_norm = RMSNorm(config.dim, config.norm_eps)
        self.ffn = FeedForward(config)

    def forward(self, x_btd: Tensor, rotary: Tensor, mask: Tensor | None) -> Tensor:
        x_btd = x_btd + self.attention(self.attention_norm(x_btd), rotary, mask)
        out: Tensor = x_btd + self.ffn(self.ffn_norm(x_btd))
        return out


class Transformer(nn.Module):
    """Tokens to logits. Parameters are uninitialised until `train.model.init.initialise` fills them."""

    rotary: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding: nn.Embedding | None = nn.utils.skip_init(nn.Embedding, config.vocab_size, config.dim)
        self.layers = nn.ModuleDict({str(number): Block(config) for number in range(config.num_layers)})
        self.norm: RMSNorm | None = RMSNorm(config.dim, config.norm_eps)
        self.output: nn.Linear | None = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.register_buffer("rotary", rotary_table(config, config.max_sequence_length), persistent=False)

    def forward(self, tokens: Tensor, documents: Tensor | None = None) -> Tensor:
        """Logits [B, T, V] of the token after each of `tokens` (integers [B, T]).

        A later pipeline stage takes [B, T, D], one without the last part gives it. `documents` (integers [B,
        T]) keeps attention inside runs of equal number.
        """
        x = tokens if self.embedding is None else self.embedding(tokens)
        mask = None if documents is None else document_mask(documents)
        for layer in self.layers.values():
            x = layer(x, self.rotary, mask)
        x = x if self.norm is None else self.norm(x)
        return x if self.output is None else self.output(x)


def document_mask(documents: Tensor) -> Tensor:
    """True where a token attends: to itself and to earlier tokens of its document. bool [B, 1, T, T]."""
    same = documents[:, None, :, None] == documents[:, None, None, :]
    return same & torch.ones(same.shape[-2:], dtype=torch.bool, device=same.device).tril()
