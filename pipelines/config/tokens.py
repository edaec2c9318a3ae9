"""The parameters of the tokenizer and of the token shards."""

from pydantic import Field

from pipelines.config.base import Section


class TokenizerParameters(Section):
    """Byte-level BPE, trained on a sample of the kept training text that is drawn by the mixture's weights."""

    vocab_size: int = Field(default=32_000, ge=243)  # conventional tokens: 243 bytes and merges; 15 special ones follow
    model_vocab_size: int | None = Field(default=None, ge=258)  # rows of the model; null: the next multiple of 128
    sample_bytes: int = Field(default=24_000_000_000, ge=1)  # of text that pretokens are counted in (the paper: ~24 GB)
    min_frequency: int = Field(default=2, ge=1)  # a pair of tokens that occurs less often is not merged
    min_count: int = Field(default=1, ge=1)  # pretokens that occur less often in all are dropped before training
    partitions: int = Field(default=1, ge=1)  # parts in which the counts of shards are added up, each by one task
    evaluation_bytes: int = Field(default=10_000_000, ge=0)  # of held-out text that the tokenizer is judged on
    references: dict[str, str] = Field(default_factory=dict)  # name: tokenizer.json of others to compare it with
    seed: int = Field(default=1, ge=0, lt=2**32)  # of the samples


class TokensParameters(Section):
    """Token shards: every kept document, in an order that is shuffled over the whole corpus."""

    shard_bytes: int = Field(default=1 << 30, ge=1)  # of a .bin (4 a token): no shard exceeds it but a single document
    bos: bool = False  # begin-of-sentence before each document; end-of-sentence behind it is always there
    seed: int = Field(default=1, ge=0, lt=2**32)  # of the order
