"""Everything a person chooses about a training run, with its limits. A recipe's `train:` section is this model.

The defaults are a run of a few minutes on a laptop. The comments give what the paper used for 7B, where it says.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from corpus.errors import UsageError
from train.data.block_cache import CACHE_BYTES
from train.distributed.parallel_dims import ParallelDims
from train.model.config import MODELS, ModelConfig, named_model


class MixtureChange(BaseModel):
    """Other weights of the domains, from a given token of the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_token: int = Field(ge=1)  # of all domains together; they hold from the first sequence that begins there or later
    weights: dict[str, float]  # shares of tokens; a domain that is not named is left out from there on


class TrainSettings(BaseModel):
    """The settings of a pretraining run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Literal["nano", "micro", "mini", "small", "medium", "large", "7b", "67b"] = "nano"
    steps: int = Field(default=400, ge=1)  # optimizer steps; the paper's 2T tokens are 211,928
    batch_size: int = Field(default=8, ge=1)  # sequences per step, all ranks together; the paper: 2304
    mesh: ParallelDims = ParallelDims()  # how many processes, and what each holds; any mesh goes on from any checkpoint
    # sequences that pass through a rank at once; none: its share of the batch, in a pipeline cut by the stages
    micro_batch_size: int | None = Field(default=None, ge=1)
    sequence_length: int = Field(default=256, ge=2)  # tokens; the paper: 4096
    learning_rate: float = Field(default=3e-3, gt=0)  # the peak; the paper: 4.2e-4
    schedule: Literal["multi_step", "cosine", "wsd"] = "multi_step"
    warmup_steps: int = Field(default=20, ge=0)  # the paper: 2000
    weight_decay: float = Field(default=0.1, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    init_std: float = Field(default=0.006, gt=0)  # the paper's; 0.02 learns sooner in a run of minutes
    num_kv_heads: int | None = Field(default=None, ge=1)  # grouped-query attention; none: as the named model has it
    # concatenate: documents end to end, cut where a sequence ends, as the paper's; best_fit: whole where they fit
    packing: Literal["concatenate", "best_fit"] = "concatenate"
    mixture_changes: tuple[MixtureChange, ...] = ()  # those behind what is trained may change while a run is stopped
    cache_bytes: int = Field(default=CACHE_BYTES, ge=1 << 26)  # of a host's disk, for tokens on s3://
    document_mask: bool = False  # attend within a document only; the paper does not say
    precision: Literal["fp32", "bf16"] = "fp32"  # of activations and matrix products; weights and their sums stay fp32
    seed: int = Field(default=0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    # CPU threads; 0: all that this process may use. Another number adds up in another order: last bits differ
    threads: int = Field(default=0, ge=0)

    validate_every: int = Field(default=100, ge=1)  # steps between measurements of bits per byte
    # of each domain while training; the last measurement reads everything
    validation_tokens: int = Field(default=65_536, ge=1)
    checkpoint_seconds: float = Field(default=300.0, ge=0)  # of wall clock; the paper: every 5 minutes
    # the newest; those at the ends of the schedule's phases stay for ever
    keep_checkpoints: int = Field(default=2, ge=1)
    restarts: int = Field(default=3, ge=0)  # how often a run that loses a process is started again by itself
    # FLOP/s of one device, for the utilisation; none: that of the device, where it is known (train/utilisation.py)
    peak_flops: float | None = Field(default=None, gt=0)
    # the output folder of a shorter run, whose first phase (80% of its tokens at a constant rate) is not trained again
    reuse_stage_one: str | None = None

    @field_validator("micro_batch_size")
    @classmethod
    def _divides_the_batch(cls, value: int | None, info: ValidationInfo) -> int | None:
        batch = info.data.get("batch_size")
        if value and batch and batch % value:
            raise ValueError(f"a batch of {batch} cannot be cut into micro-batches of {value}; choose a divisor")
        return value

    @field_validator("num_kv_heads")
    @classmethod
    def _divides_the_heads(cls, value: int | None, info: ValidationInfo) -> int | None:
        heads = MODELS[info.data["model"]].num_heads if "model" in info.data else 0
        if value and heads % value:
            raise ValueError(f"{heads} heads do not divide among {value} key-value heads; choose a divisor")
        return value

    @field_validator("reuse_stage_one")
    @classmethod
    def _has_a_constant_phase(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("schedule") == "cosine":
            raise ValueError("a cosine schedule has no constant phase to reuse; use multi_step or wsd")
        return value

    @model_validator(mode="after")
    def _fits_the_mesh(self) -> Self:
        try:
            self.check_mesh(vocab_size=self.mesh.tp)  # the vocabulary is known when there is a tokenizer
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    def check_mesh(self, vocab_size: int) -> None:
        """Raise UsageError where the model or the batch does not fit the mesh."""
        if self.mesh.world > 1:
            self.mesh.check(
                self.build_model_config(vocab_size),
                batch_size=self.batch_size,
                micro_batch=self.micro_batch,
                sequence_length=self.sequence_length,
            )

    @property
    def micro_batch(self) -> int:
        """Sequences that pass through the model of a rank at once."""
        return self.micro_batch_size or max(1, self.batch_size // (self.mesh.dp * self.mesh.pp))

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a global batch."""
        return self.batch_size * self.sequence_length

    def build_model_config(self, vocab_size: int) -> ModelConfig:
        """The shape of the model for a tokenizer's padded vocabulary."""
        changes = {"num_kv_heads": self.num_kv_heads} if self.num_kv_heads else {}
        return named_model(
            self.model,
            vocab_size=vocab_size,
            init_std=self.init_std,
            max_sequence_length=self.sequence_length,
            **changes,
        )


# what has no effect on the weights; the mesh and the micro-batches have none but on the rounding of their last bits
OPERATIONAL = (
    "mesh",
    "micro_batch_size",
    "checkpoint_seconds",
    "keep_checkpoints",
    "restarts",
    "cache_bytes",
    "peak_flops",
    "reuse_stage_one",
)
