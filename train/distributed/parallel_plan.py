"""The plan that distributes a model over a mesh. It is written beside the model, which knows nothing of it.

Three cuts, in this order. The *pipeline* cut removes the layers that other stages hold; what is left keeps its names.
The *tensor* plan (Megatron's, as DTensor styles) splits the matrices by columns, then by rows. Between them it splits
the sequence, so that norms and residuals are computed once and not on every rank. It covers every parameter, norms
included, so that all are on one mesh. `fully_shard` then splits over the data-parallel ranks, set to what the paper
calls ZeRO-1: weights in bf16 are gathered at a step's first forward and kept, and gradients are added up in fp32. At
the last micro-batch each FSDP unit (a layer, the head, the embedding) reduce-scatters them to the ranks that hold the
fp32 weights and moments. So each unit has one all-gather and one reduce-scatter per step.

Shapes: B sequences, T tokens, D dim, V vocabulary.
"""

from typing import Literal

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    SequenceParallel,
)

from train.model.config import ModelConfig
from train.model.llama import Transformer

Precision = Literal["fp32", "bf16"]


def layers_of_stage(config: ModelConfig, stage: int, stages: int) -> range:
    """The layers that a pipeline stage holds: contiguous, and equal work for every stage.

    The last stage also computes the logits, which costs as much as V / 12 D layers (2 V D products per token against
    the 24 D^2 of a layer). So it holds that many fewer. Every other has at least one layer.
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
    for unit in (*model.layers.values(), *([head] if head else []), model):
        fully_shard(unit, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)
            # Weights stay until the backward pass is through, so there is nothing to gather for it. By default
            # a pipeline's last pass gathers again a unit that it has just freed.
            module.set_modules_to_backward_prefetch([module])
