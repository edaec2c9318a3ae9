"""The plan that lays a model out on a mesh. It lies beside the model, which knows nothing of it.

Three cuts, in this order. The *pipeline* cut removes the layers that other stages hold; what is left keeps its
names. The *tensor* plan (Megatron's, as DTensor styles) splits the matrices by columns, then by rows, and
between them splits the sequence, so that norms and residuals are computed once and not on every rank; it covers
every parameter, norms included, so that all lie on one mesh. `fully_shard` then splits over the data-parallel
ranks, set to what the paper calls ZeRO-1: weights in bf16 are gathered at a step's first forward and kept,
gradients are added up in fp32, and at the last micro-batch each group (a layer, the head, the embedding)
reduce-scatters them to the ranks that hold the fp32 weights and moments: one all-gather and one reduce-scatter
a group and step.

Shapes: B sequences, T tokens, D dim, V vocabulary.
"""

from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

from train.distributed.clip import clip_gradients
from train.distributed.mesh import ParallelDims
from train.distributed.pipeline import Pipeline, reduce_in_next_backward
from train.model.config import ModelConfig
from train.model.llama import Transformer, rotary_table
from train.model.loss import cross_entropy_sum, token_losses

Precision = Literal["fp32", "bf16"]


def layers_of_stage(config: ModelConfig, stage: int, stages: int) -> range:
    """The layers that a pipeline stage holds: contiguous, and equal work for every stage.

    The last stage also computes the logits, which costs as much as V / 12 D layers (2 V D products a token
    against the 24 D^2 of a layer), so it holds that many fewer. Every other has at least one layer.
    """
    if stages == 1:
        return range(config.num_layers)
    head = round(config.vocab_size / (12 * config.dim))
    last = max(0, (config.num_layers + head) // stages - head)
    first = config.num_layers - last
    if stage == stages - 1:
        return range(first, config.num_layers)
    return range(first * stage // (stages - 1), first * (stage + 1) // (stages - 1))


def cut_stage(model: Transformer, stage: int, stages: int) -> None:
    """Remove from a whole model what other pipeline stages hold, in place."""
    held = layers_of_stage(model.config, stage, stages)
    for number in range(model.config.num_layers):
        if number not in held:
            del model.layers[str(number)]
    if stage > 0:
        model.embedding = None
    if stage < stages - 1:
        model.norm = model.output = None


def tensor_plan(model: Transformer) -> dict[str, ParallelStyle]:
    """How each part is split over the tensor-parallel ranks; hidden states between parts are [B, T / tp, D] each."""
    gathered = PrepareModuleInput(input_layouts=(Shard(1), None, None), desired_input_layouts=(Replicate(), None, None))
    layer: dict[str, ParallelStyle] = {
        "attention_norm": SequenceParallel(),
        "attention": gathered,
        "attention.wq": ColwiseParallel(),
        "attention.wk": ColwiseParallel(),
        "attention.wv": ColwiseParallel(),
        "attention.wo": RowwiseParallel(output_layouts=Shard(1)),
        "ffn_norm": SequenceParallel(),
        "ffn": PrepareModuleInput(input_layouts=Shard(1), desired_input_layouts=Replicate()),
        "ffn.w1": ColwiseParallel(),
        "ffn.w3": ColwiseParallel(),
        "ffn.w2": RowwiseParallel(output_layouts=Shard(1)),
    }
    plan = {f"layers.{number}.{part}": style for number in model.layers for part, style in layer.items()}
    if model.embedding is not None:
        plan["embedding"] = RowwiseParallel(input_layouts=Replicate(), output_layouts=Shard(1))
    if model.norm is not None:
        plan["norm"] = SequenceParallel()
        # logits [B, T, V / tp]; as a DTensor, because a local part is a view, which fully_shard warns of
        plan["output"] = ColwiseParallel(input_layouts=Shard(1), output_layouts=Shard(-1), use_local_output=False)
    return plan


def shard_state(model: Transformer, mesh: DeviceMesh, precision: Precision) -> None:
    """ZeRO-1 over the data-parallel ranks, in place. Gradients are summed: the loss is divided by global tokens."""
    policy = MixedPrecisionPolicy()
    if precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    head = [part for part in (model.norm, model.output) if part is not None]
    for group in (*model.layers.values(), *([head] if head else []), model):
        fully_shard(group, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)
            # Weights stay until the backward pass is through, so there is nothing to gather for it; left to
            # itself, a pipeline's last pass gathers a group again that it has just let go of.
            module.set_modules_to_backward_prefetch([module])


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

    def forward_backward(self, windows: Tensor, documents: Tensor | None, scale: float) -> Tensor:
        """Add the gradients of this rank's share of a batch; return `scale` times the summed loss of the whole batch.

        windows: integers [S, T + 1], the S = batch / dp samples of this `dp_rank`, the same for all processes
        that have it; they pass through in micro-batches. documents: integers [S, T], to keep attention inside runs
        of equal number, or None. scale: 1 / tokens of the global batch. The loss, an fp32 scalar in nats a token,
        is the same on every process.
        """
        inputs, targets = windows[:, :-1], windows[:, 1:]
        if self._pipeline:
            total = self._pipeline.step(inputs, targets, documents, scale, len(windows) // self.micro_batch)
        else:
            total = torch.zeros((), device=self.device)
            for start in range(0, len(windows), self.micro_batch):
                part = slice(start, start + self.micro_batch)
                self._reduce_gradients(start + self.micro_batch == len(windows))
                # the logits have no name here, so that they are gone when the next ones come
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
        # zeros to the right are not seen by what is left of them
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
        """Whether the next backward pass is the step's last, which reduces gradients and lets go of the weights."""
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
