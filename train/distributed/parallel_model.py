"""A model on a mesh of processes: what one process holds of it, and the steps that all processes take together.

Shapes: B sequences, T tokens, V vocabulary.
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import parallelize_module

from train.distributed.gradient_clipping import clip_gradients
from train.distributed.parallel_dims import ParallelDims
from train.distributed.parallel_plan import Precision, cut_stage, shard_state, tensor_plan
from train.distributed.pipeline_parallel import Pipeline, reduce_in_next_backward
from train.model.config import ModelConfig
from train.model.llama import Transformer, rotary_table
from train.model.loss import cross_entropy_sum, token_losses


class ParallelModel:
    """What one process holds of a model, and the steps that all processes take together.

    `model` is the whole model or a pipeline stage of it, under the parameter names of the whole. `dp_rank` is the share
    of the global batch that this process reads.
    """

    def __init__(
        self, model: Transformer, dims: ParallelDims, mesh: DeviceMesh | None, precision: Precision, micro_batch: int
    ) -> None:
        self.model = model
        self.dims = dims
        self.micro_batch = micro_batch
        self.device = model.rotary.device
        self.dp_rank = mesh.get_local_rank("dp") if mesh else 0
        self._autocast = mesh is None and precision == "bf16"
        self._groups = {name: mesh.get_group(name) for name, size in dims if size > 1} if mesh else {}
        self._pipeline = None
        if "pp" in self._groups:
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            self._pipeline = Pipeline(model, self._groups["pp"], self._loss, dtype, dims.tp)

    def forward_backward(self, samples: Tensor, documents: Tensor | None, scale: float) -> Tensor:
        """Add the gradients of this rank's share of a batch; return `scale` times the summed loss of the whole batch.

        samples: integers [S, T + 1], the S = batch / dp samples of this `dp_rank`, the same for all processes
        that have it; they pass through in micro-batches. documents: integers [S, T], to keep attention inside runs
        of equal number, or None. scale: 1 / tokens of the global batch. The loss, an fp32 scalar in nats per token,
        is the same on every process.
        """
        inputs, targets = samples[:, :-1], samples[:, 1:]
        if self._pipeline:
            total = self._pipeline.step(inputs, targets, documents, scale, len(samples) // self.micro_batch)
        else:
            total = torch.zeros((), device=self.device)
            for start in range(0, len(samples), self.micro_batch):
                part = slice(start, start + self.micro_batch)
                self._reduce_gradients(start + self.micro_batch == len(samples))
                # the logits have no name here, so that they are freed before the next ones
                masked = None if documents is None else documents[part]
                loss = self._loss(self._logits(inputs[part], masked), targets[part], scale)
                loss.backward()
                total += loss.detach()
        return self._sum(total)

    def clip_gradients(self, max_norm: float) -> float:
        """Scale all gradients so that their norm over the whole model is `max_norm` at most; the norm before that."""
        return clip_gradients(list(self.model.parameters()), max_norm, self._groups.get("pp"))

    @torch.no_grad()
    def token_losses(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The negative log-likelihood of each target [B, T] in nats, fp32 [B, T].

        Arguments and result are the same on every process; each data-parallel rank computes some of the rows.
        """
        dp, tp = self.dims.dp, self.dims.tp
        (rows, length), share = inputs.shape, -(-inputs.shape[0] // dp)
        # attention is causal: tokens do not see the padding to their right
        padded = torch.nn.functional.pad(torch.stack((inputs, targets)), (0, -length % tp, 0, share * dp - rows))
        inputs, targets = padded[:, self.dp_rank * share : (self.dp_rank + 1) * share]
        logits = self._pipeline.forward(inputs) if self._pipeline else self._logits(inputs, None)
        found = torch.zeros((share * dp, padded.shape[2]), device=self.device)
        if logits is not None:
            part = token_losses(_local(logits), targets, self._groups.get("tp"))
            found[self.dp_rank * share : (self.dp_rank + 1) * share] = part
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        return self._sum(found)[:rows, :length]

    def _logits(self, inputs: Tensor, documents: Tensor | None) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
            logits: Tensor = self.model(inputs, documents)
        return logits

    def _loss(self, logits: Tensor, targets: Tensor, scale: float) -> Tensor:
        return cross_entropy_sum(_local(logits), targets, scale, self._groups.get("tp"))

    def _reduce_gradients(self, last: bool) -> None:
        """Whether the next backward pass is the step's last, which reduces gradients and frees the weights."""
        if isinstance(self.model, FSDPModule):
            reduce_in_next_backward(self.model, last)

    def _sum(self, value: Tensor) -> Tensor:
        """Add up over stages (all but the last have nothing) and shares of the batch, in place."""
        for name in ("pp", "dp"):
            if name in self._groups:
                dist.all_reduce(value, group=self._groups[name])
        return value


def _local(logits: Tensor) -> Tensor:
    return logits.to_local() if isinstance(logits, DTensor) else logits


def parallelise(
    config: ModelConfig, dims: ParallelDims, *, device: torch.device, precision: Precision, micro_batch: int
) -> ParallelModel:
    """This process's part of a model, its weights not yet filled (`train.model.init.initialise` does that).

    With more than one process, torch.distributed must be initialised; ranks count tp fastest, then dp, then pp. Raises
    UsageError where the number of processes is not the mesh's.
    """
    dims.check_world(dist.get_world_size() if dist.is_initialized() else 1)
    if dims.world == 1:
        with torch.device(device):
            return ParallelModel(Transformer(config), dims, None, precision, micro_batch)
    mesh = init_device_mesh(device.type, (dims.pp, dims.dp, dims.tp), mesh_dim_names=("pp", "dp", "tp"))
    with torch.device("meta"):
        model = Transformer(config)
    cut_stage(model, mesh.get_local_rank("pp"), dims.pp)
    if dims.tp > 1:
        mesh["dp", "tp"]._flatten()  # so that the norm of all gradients is one exchange
        parallelize_module(model, mesh["tp"], tensor_plan(model))
    shard_state(model, mesh["dp"], precision)
    model.to_empty(device=device)
    model.rotary = rotary_table(config, config.max_sequence_length, device)
    return ParallelModel(model, dims, mesh, precision, micro_batch)
