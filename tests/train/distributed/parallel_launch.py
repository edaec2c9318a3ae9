"""Every layout of a small model beside one process: a program that `test_parallel.py` starts once.

    python tests/train/distributed/parallel_launch.py OUT.json PP,DP,TP ...

torch is imported once; each layout is a world of gloo processes forked from here. A world takes the same two
steps as the single process did, from the same weights and tokens, and writes down how far it is from it.
"""

import json
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

import train.distributed.parallel_model
import train.distributed.pipeline_parallel
import train.model.loss
from train.distributed.parallel_dims import ParallelDims
from train.distributed.parallel_model import ParallelModel, parallelise
from train.model.config import ModelConfig
from train.model.init import initial_value, initialise
from train.model.loss import IGNORED, cross_entropy_sum, token_losses
from train.optimizer import build_optimizer

CONFIG = ModelConfig(
    vocab_size=96,
    dim=32,
    num_layers=5,
    num_heads=4,
    num_kv_heads=2,
    ffn_multiple=16,
    max_sequence_length=16,
    init_std=0.1,  # large, so that gradients differ from one another
)
BATCH, LENGTH = 8, 16
Batch = tuple[Tensor, Tensor]


def batch() -> Batch:
    """Windows [B, T + 1] and documents [B, T]."""
    generator = torch.Generator().manual_seed(1)
    windows = torch.randint(0, CONFIG.vocab_size, (BATCH, LENGTH + 1), generator=generator)
    return windows, torch.randint(0, 3, (BATCH, LENGTH), generator=generator).sort(1).values


def build(dims: ParallelDims, precision: Any) -> ParallelModel:
    """A model with its weights."""
    micro_batch = BATCH // dims.dp // max(2, dims.pp)
    parallel = parallelise(CONFIG, dims, device=torch.device("cpu"), precision=precision, micro_batch=micro_batch)
    initialise(parallel.model, seed=0)
    return parallel


def whole(value: Tensor) -> Tensor:
    """A tensor's full value on this process."""
    return (value.full_tensor() if isinstance(value, DTensor) else value).detach().clone()


def step(parallel: ParallelModel, masked: bool) -> dict[str, Any]:
    """A step: losses of some validation tokens, the loss, gradients, their norm; and the loss after the update."""
    windows, documents = batch()
    share = BATCH // parallel.dims.dp
    part = slice(parallel.dp_rank * share, (parallel.dp_rank + 1) * share)
    validation = parallel.token_losses(windows[:5, :-2], windows[:5, 1:-1])  # neither divides by anything
    loss = parallel.forward_backward(windows[part], documents[part] if masked else None, 1 / (BATCH * LENGTH))
    gradients = {name: whole(p.grad) for name, p in parallel.model.named_parameters() if p.grad is not None}
    norm = parallel.clip_gradients(0.5)
    clipped = {name: whole(p.grad) for name, p in parallel.model.named_parameters() if p.grad is not None}
    optimizer = build_optimizer(parallel.model, 1e-2)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    later = parallel.forward_backward(windows[part], documents[part] if masked else None, 1 / (BATCH * LENGTH))
    optimizer.zero_grad(set_to_none=True)
    return {
        "validation": validation,
        "loss": loss,
        "gradients": gradients,
        "norm": norm,
        "clipped": clipped,
        "later": later,
    }


class Watch:
    """What is sent and held during a step, seen from outside."""

    def __init__(self, parallel: ParallelModel) -> None:
        self.events: list[str] = []
        self.held: dict[str, int] = {}
        self.model = parallel.model
        for name in ("all_gather_single", "reduce_scatter_single"):
            setattr(dist, name, self._noted(name, getattr(dist, name)))
        torch.autograd.backward = self._noted("backward", torch.autograd.backward)
        first = next(iter(self.model.layers.values()))
        first.register_full_backward_pre_hook(lambda *_: self.events.append("first layer"))
        original = train.distributed.pipeline_parallel.reduce_in_next_backward
        for module in (train.distributed.pipeline_parallel, train.distributed.parallel_model):
            module.reduce_in_next_backward = self._weighed(original)

    def _noted(self, name: str, function: Callable) -> Callable:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.events.append(name)
            result = function(*args, **kwargs)
            self.events.append(f"{name} returned")
            return result

        return wrapped

    def _weighed(self, function: Callable) -> Callable:
        def wrapped(model: FSDPModule, last: bool) -> None:
            if last:
                for group in groups(self.model):
                    for parameter in group.fsdp_params:
                        weight, gradient = parameter._unsharded_param, parameter.unsharded_accumulated_grad_data
                        local = weight.to_local() if isinstance(weight, DTensor) else weight
                        self._add(f"weights {local.dtype}", local.nbytes)
                        self._add(f"gradients {gradient.dtype}", gradient.nbytes)
            function(model, last)

        return wrapped

    def _add(self, name: str, size: int) -> None:
        self.held[name] = self.held.get(name, 0) + size

    def found(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Counts, and bytes a parameter of what this process's tensor-parallel part of the stage has."""
        for parameter in self.model.parameters():
            state = [value for value in optimizer.state[parameter].values() if value.dim()]
            for name, value in (("master", parameter), ("moments", state[0]), ("moments", state[1])):
                self._add(f"{name} {value.dtype}", value.to_local().nbytes)
        last = len(self.events) - self.events[::-1].index("backward")
        inside = self.events[last : self.events.index("backward returned", last)]
        weights = next(size for name, size in self.held.items() if name.startswith("weights"))
        width = 2 if "weights torch.bfloat16" in self.held else 4
        return {
            "groups": len(groups(self.model)),
            "all_gathers": self.events.count("all_gather_single"),
            "reduce_scatters": self.events.count("reduce_scatter_single"),
            "reduced_in_last_backward": inside.count("reduce_scatter_single"),
            "reduced_before_first_layer": inside[: inside.index("first layer")].count("reduce_scatter_single"),
            "bytes_per_parameter": {name: size * width / weights for name, size in self.held.items()},
        }


def groups(model: torch.nn.Module) -> list[Any]:
    """The groups of parameters that are gathered and reduced together."""
    states = [module._get_fsdp_state() for module in model.modules() if isinstance(module, FSDPModule)]
    return list({id(group): group for state in states for group in state._fsdp_param_groups}.values())


def relative(found: dict[str, Tensor], expected: dict[str, Tensor], norm: str) -> float:
    """The largest distance of a tensor, in parts of the expected one's size, by maximum or by Euclidean norm."""
    size = (lambda x: x.abs().max()) if norm == "max" else torch.linalg.vector_norm
    return max(float(size(found[name] - expected[name]) / size(expected[name])) for name in found)


def split_loss(group: dist.ProcessGroup) -> float:
    """How far the loss over a split vocabulary, its gradient and its losses by token are from the whole one's."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(37, CONFIG.vocab_size, generator=generator) * 5
    targets = torch.randint(0, CONFIG.vocab_size, (37,), generator=generator)
    targets[::5] = IGNORED
    tp, rank = dist.get_world_size(group), dist.get_rank(group)
    found = []
    train.model.loss.CHUNK_ELEMENTS["cpu"] = 4 * CONFIG.vocab_size  # several chunks, the last not full
    for part, among in ((logits, None), (logits.chunk(tp, 1)[rank], group)):
        leaf = part.clone().requires_grad_()
        by_token = token_losses(leaf, targets, among)
        loss = cross_entropy_sum(leaf * 1.0, targets, 0.5, among)
        (loss * 3).backward()
        gradient = leaf.grad if among else leaf.grad.chunk(tp, 1)[rank]
        found.append((by_token, loss.detach(), gradient))
    return max(float((one - other).abs().max()) for one, other in zip(*found))


def compare(dims: ParallelDims, reference: dict[str, Any]) -> dict[str, Any]:
    """A layout's distances from the single process, in fp32 and in bf16, and what it sends and holds."""
    exact = build(dims, "fp32")
    same = [
        torch.equal(whole(p), initial_value(name, p.shape, CONFIG.init_std, 0))
        for name, p in exact.model.named_parameters()
    ]
    found = step(exact, masked=True)
    expected = reference["fp32 masked"]
    result: dict[str, Any] = {
        "parameters": sorted(found["gradients"]),
        "same_start": all(same),
        "loss": abs(float(found["loss"] - expected["loss"])),
        "later_loss": abs(float(found["later"] - expected["later"])),
        "learned": float(expected["loss"] - expected["later"]),
        "norm": abs(found["norm"] - expected["norm"]),
        "gradients": relative(found["gradients"], expected["gradients"], "max"),
        "clipped": relative(found["clipped"], expected["clipped"], "max"),
        "validation": float((found["validation"] - expected["validation"]).abs().max()),
    }
    if dims.tp > 1:
        result["split_loss"] = split_loss(exact._groups["tp"])
    rounded = build(dims, "bf16")
    found, expected = step(rounded, masked=False), reference["fp32"]
    result["bf16_loss"] = abs(float(found["loss"] - expected["loss"]))
    result["bf16_gradients"] = relative(found["gradients"], expected["gradients"], "euclidean")
    watch = Watch(rounded)
    share = BATCH // dims.dp
    windows = batch()[0][rounded.dp_rank * share : (rounded.dp_rank + 1) * share]
    rounded.forward_backward(windows, None, 1.0)
    optimizer = build_optimizer(rounded.model, 1e-3)
    optimizer.step()
    return result | watch.found(optimizer)


def world(rank: int, dims: ParallelDims, reference: dict[str, Any], folder: str, port: int) -> None:
    """One process of a layout."""
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=dims.world)
    Path(folder, f"{rank}.json").write_text(json.dumps(compare(dims, reference)))
    dist.destroy_process_group()


def main() -> None:
    """Run the layouts and write OUT.json: for each, what each of its processes found."""
    torch.set_num_threads(1)
    alone = {name: build(ParallelDims(), name.split()[0]) for name in ("fp32 masked", "fp32", "bf16")}
    reference = {name: step(parallel, masked="masked" in name) for name, parallel in alone.items()}
    found: dict[str, Any] = {
        "1,1,1": [
            {
                "parameters": sorted(reference["fp32"]["gradients"]),
                "bf16_loss": abs(float(reference["bf16"]["loss"] - reference["fp32"]["loss"])),
                "bf16_gradients": relative(reference["bf16"]["gradients"], reference["fp32"]["gradients"], "euclidean"),
            }
        ]
    }
    for layout in sys.argv[2:]:
        pp, dp, tp = map(int, layout.split(","))
        dims = ParallelDims(pp=pp, dp=dp, tp=tp)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with tempfile.TemporaryDirectory() as folder:
            arguments = [(rank, dims, reference, folder, port) for rank in range(dims.world)]
            processes = [mp.get_context("fork").Process(target=world, args=each) for each in arguments]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
            if any(process.exitcode for process in processes):
                sys.exit(f"{dims}: exit statuses {[process.exitcode for process in processes]}")
            found[layout] = [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(dims.world)]
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
