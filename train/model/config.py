"""The sizes of a model, and the named ones.

The shape is LLaMA's, as in the DeepSeek LLM paper (section 2.2): `7b` and `67b` are its Table 2, `mini` to
`large` follow the depths and widths of its Table 3. `nano` and `micro` continue the ladder down to what a
laptop trains in minutes.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from corpus.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A model's shape. Raises UsageError where the numbers do not fit together."""

    vocab_size: int  # rows of the embedding: the tokenizer's padded vocabulary
    dim: int
    num_layers: int
    num_heads: int
    num_kv_heads: int | None = (
        None  # fewer than num_heads: grouped-query attention (Ainslie et al. 2023); None: as many
    )
    ffn_multiple: int = 256  # the SwiGLU width is 8/3 of dim, rounded up to a multiple of this
    max_sequence_length: int = 4096
    rope_theta: float = 10_000.0  # Su et al. 2021
    norm_eps: float = 1e-6
    init_std: float = 0.006  # the paper's section 2.3

    def __post_init__(self) -> None:
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 2:
            raise UsageError(f"model: {self.dim} dimensions do not divide into {self.num_heads} heads of even size")
        if self.num_heads % self.kv_heads:
            raise UsageError(f"model: {self.num_heads} heads do not divide among {self.kv_heads} key-value heads")

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.num_kv_heads or self.num_heads

    @property
    def head_dim(self) -> int:
        """Dimensions of one head."""
        return self.dim // self.num_heads

    @property
    def ffn_dim(self) -> int:
        """Width of the SwiGLU: 8/3 of dim (Shazeer 2020: three matrices at the cost of two), rounded up."""
        width = -(-8 * self.dim // 3)
        return -(-width // self.ffn_multiple) * self.ffn_multiple

    @property
    def num_parameters(self) -> int:
        """All parameters, input and output embedding included."""
        attention = 2 * self.dim * self.dim + 2 * self.dim * self.kv_heads * self.head_dim
        block = attention + 3 * self.dim * self.ffn_dim + 2 * self.dim
        return 2 * self.vocab_size * self.dim + self.num_layers * block + self.dim

    def flops_per_token(self, sequence_length: int) -> int:
        """Training FLOPs per token in the paper's measure M = 72 n d^2 + 12 n d l (equation 2)."""
        n, d = self.num_layers, self.dim
        return 72 * n * d * d + 12 * n * d * sequence_length

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return asdict(self)


DEEPSEEK_VOCAB_SIZE = 102_400

MODELS: dict[str, ModelConfig] = {
    name: ModelConfig(
        vocab_size=DEEPSEEK_VOCAB_SIZE,
        num_layers=layers,
        dim=dim,
        num_heads=heads,
        num_kv_heads=kv_heads,
        ffn_multiple=multiple,
    )
    for name, layers, dim, heads, kv_heads, multiple in (
        ("nano", 4, 128, 4, None, 64),  # 0.85M parameters without embeddings
        ("micro", 6, 256, 4, None, 64),  # 4.8M
        ("mini", 8, 512, 8, None, 128),  # 26M
        ("small", 12, 768, 12, None, 256),  # 85M
        ("medium", 24, 1024, 16, None, 256),  # 308M
        ("large", 24, 2048, 16, None, 256),  # 1.2B
        ("7b", 30, 4096, 32, None, 256),  # 6.91B with embeddings
        ("67b", 95, 8192, 64, 8, 256),  # 67.43B with embeddings
    )
}


def named_model(name: str, **changes: Any) -> ModelConfig:
    """A named model with some fields changed (usually `vocab_size`); raise UsageError for an unknown name."""
    if name not in MODELS:
        raise UsageError(f"model {name!r} is not known; choose one of {', '.join(MODELS)}")
    return replace(MODELS[name], **changes)
