"""Training steps on a mesh of devices: tokens/s, utilisation, memory, losses; and what of the communication is hidden.

    torchrun --nproc-per-node 8 benchmarks/gpu/step.py --model 7b --mesh 1,8,1 --batch-size 64 --micro-batch 1
    torchrun --nproc-per-node 8 benchmarks/gpu/step.py --model 7b --mesh 2,2,2 --batch-size 64 --micro-batch 2 --profile

Random tokens through the training loop's own step (`train.distributed.parallel_model`), in bf16. The first step is not
counted. --layers shortens a model that the devices at hand cannot hold. --profile traces one more step on rank 0 and
says which share of the time of communication kernels passes under other kernels. Losses are printed, so that two
meshes can be compared. Without a GPU the same runs on gloo, to try the script: times mean nothing then. Rank 0
prints one JSON object.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from train.distributed.world import World

Interval = tuple[float, float]  # begin and end


def union(intervals: Sequence[Interval]) -> list[Interval]:
    """The same time without overlaps, in order."""
    merged: list[Interval] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def overlap(one: Sequence[Interval], other: Sequence[Interval]) -> float:
    """How long both last at once."""
    pairs = [(max(a, c), min(b, d)) for a, b in union(one) for c, d in union(other)]
    return sum(end - begin for begin, end in pairs if end > begin)


def traced(step: Callable[[], Any]) -> dict[str, Any]:
    """Milliseconds of each kind of communication in one step, and the share of them that passes under computation."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        step()
        torch.cuda.synchronize()
    kernels: dict[str, list[Interval]] = {}
    for event in profiler.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            found = (name for name in ("AllGather", "ReduceScatter", "AllReduce", "SendRecv") if name in event.name)
            kind = next(found, "other") if "nccl" in event.name else "compute"
            kernels.setdefault(kind, []).append((event.time_range.start, event.time_range.end))
    compute = kernels.pop("compute", [])
    lasted = {kind: sum(end - begin for begin, end in union(times)) for kind, times in kernels.items()}
    return {
        kind: {"ms": round(lasted[kind] / 1000, 3), "hidden": round(overlap(times, compute) / lasted[kind], 3)}
        for kind, times in kernels.items()
    }


def measure(args: argparse.Namespace, device: "torch.device", world: "World") -> dict[str, Any]:
    """Run the steps; the same on every rank but for the profile."""
    import torch

    from train.distributed.parallel_dims import ParallelDims
    from train.distributed.parallel_model import parallelise
    from train.model.config import named_model
    from train.model.init import initialise
    from train.optimizer import build_optimizer
    from train.utilisation import peak_flops, utilisation

    pp, dp, tp = map(int, args.mesh.split(","))
    dims, length = ParallelDims(pp=pp, dp=dp, tp=tp), args.sequence_length
    changes = {"num_layers": args.layers} if args.layers else {}
    config = named_model(args.model, vocab_size=args.vocab_size, max_sequence_length=length, **changes)
    dims.check(config, batch_size=args.batch_size, micro_batch=args.micro_batch, sequence_length=length)
    parallel = parallelise(config, dims, device=device, precision="bf16", micro_batch=args.micro_batch)
    initialise(parallel.model, 0)
    optimizer = build_optimizer(parallel.model, 1e-4)
    generator = torch.Generator().manual_seed(0)
    windows = torch.randint(0, config.vocab_size, (args.batch_size, length + 1), generator=generator)
    windows = windows.chunk(dp)[parallel.dp_rank].to(device)

    def step() -> float:
        loss = parallel.forward_backward(windows, None, 1 / (args.batch_size * length))
        parallel.clip_gradients(1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss)

    losses, rates = [], []
    for _ in range(args.steps + 1):
        begin = time.perf_counter()
        losses.append(step())
        if device.type == "cuda":
            torch.cuda.synchronize()
        rates.append(args.batch_size * length / (time.perf_counter() - begin))
    rate = statistics.median(rates[1:])
    found = {"tokens_per_second": round(rate), "losses": losses, "parameters": config.num_parameters}
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        peak = peak_flops(name)
        used = round(utilisation(config, length, rate, peak * world.size), 4) if peak else None
        held = torch.cuda.max_memory_allocated(device)
        found |= {"device": name, "utilisation": used, "bytes_per_parameter": held * pp * tp / config.num_parameters}
        if args.profile:
            found["communication"] = traced(step)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="7b")
    parser.add_argument("--layers", type=int, help="how many layers instead of the model's own")
    parser.add_argument("--vocab-size", type=int, default=102_400)
    parser.add_argument("--mesh", default="1,1,1", help="pp,dp,tp: their product is the number of processes")
    parser.add_argument("--batch-size", type=int, default=8, help="sequences a step, all ranks together")
    parser.add_argument("--micro-batch", type=int, default=1)
    parser.add_argument("--sequence-length", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    import torch

    from train.distributed.world import joined

    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    with joined(device) as world:
        found = measure(args, device, world)
    if world.first:
        if device.type != "cuda":
            print("there is no GPU: the script is tried on gloo, times mean nothing", file=sys.stderr)
        print(json.dumps(vars(args) | found, indent=1))


if __name__ == "__main__":
    main()
