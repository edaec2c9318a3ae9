"""How many processes a run is spread over, and in which three directions.

`pp` cuts the layers into pipeline stages, `dp` cuts the global batch, `tp` cuts every matrix (and, between matrices,
the sequence). A process has a rank in each direction. Neighbours in `tp` exchange most and have neighbouring ranks, so
that they share a host. A mesh is checked here against the model and the batch: what cannot work is refused before a
process is started, with the arithmetic that shows why. Needs no torch, so that planning a recipe does without it.
"""

from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import UsageError
from train.model.config import ModelConfig


class ParallelDims(BaseModel):
    """The sizes of the mesh; a recipe's `train: {mesh: {pp: 2, dp: 4, tp: 2}}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pp: int = Field(default=1, ge=1)  # pipeline stages
    dp: int = Field(default=1, ge=1)  # parts of the batch, and of the optimizer's state (ZeRO-1)
    tp: int = Field(default=1, ge=1)  # parts of every matrix and of the sequence

    def __str__(self) -> str:
        return f"pp {self.pp} x dp {self.dp} x tp {self.tp}"

    @property
    def world(self) -> int:
        """Processes."""
        return self.pp * self.dp * self.tp

    def check(self, model: ModelConfig, *, batch_size: int, micro_batch: int, sequence_length: int) -> None:
        """Raise UsageError, with all that is wrong, where the model or the batch (sequences) does not fit the mesh."""
        faults = [
            f"tp {self.tp} does not divide {number:,} {name} ({number:,} / {self.tp} = {number / self.tp:g})"
            for name, number in {
                "attention heads": model.num_heads,
                "key-value heads": model.kv_heads,
                "feed-forward columns": model.ffn_dim,
                "rows of the vocabulary": model.vocab_size,
                "tokens of a sequence": sequence_length,
            }.items()
            if number % self.tp
        ]
        if model.num_layers < self.pp:
            faults.append(f"{model.num_layers} layers cannot be cut into {self.pp} pipeline stages; lower pp")
        share = batch_size / self.dp
        if share % micro_batch:
            faults.append(
                f"a batch of {batch_size} over dp {self.dp} is {share:g} sequences per rank, which is no multiple of "
                f"the micro-batch of {micro_batch}"
            )
        elif share / micro_batch < self.pp:
            faults.append(
                f"a pipeline of {self.pp} stages needs at least {self.pp} micro-batches per step; {batch_size} / (dp "
                f"{self.dp} x micro-batch {micro_batch}) is {share / micro_batch:g}"
            )
        if faults:
            raise UsageError(f"the mesh {self} does not fit:\n" + "\n".join(f"  {fault}" for fault in faults))

    def check_world(self, processes: int) -> None:
        """Raise UsageError where another number of processes was started."""
        if processes != self.world:
            raise UsageError(
                f"the mesh {self} needs {self.pp} x {self.dp} x {self.tp} = {self.world} processes, but {processes} "
                "were started; change the mesh or the number of processes"
            )
