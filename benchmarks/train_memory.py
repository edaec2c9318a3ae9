"""Peak memory of training: bytes a parameter beside ZeRO-1's formula, and the loss beside PyTorch's own.

    python benchmarks/train_memory.py [--model small] [--vocab-size 8192] [--ranks 2,4] [--tokens 512]

ZeRO-1 with d data-parallel ranks holds, a parameter, 2 bytes of bf16 weight, 4 of fp32 gradient and 12 / d of
fp32 weight and moments (Rajbhandari et al. 2020; the figure of Megatron's distributed optimizer). To that comes
what one group of parameters (a layer, the head) needs while it is being reduced: 6 + 4 / d bytes of each of its
parameters. Each rank is a process of its own (gloo, CPU). What is measured is its resident memory as Linux
counts it, at its highest during the third step, less what it was before the model. Batches are small, so that
activations count for little. The loss is measured likewise, from the hidden states to their gradient, with the
paper's vocabulary of 102,400. Prints one JSON object.
"""

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from arguments import new_parser

if TYPE_CHECKING:
    import torch.multiprocessing as mp

os.environ |= {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}  # freed memory goes back, so that it shows

LENGTH = 64  # tokens of a sequence; two micro-batches of one


def resident(field: str) -> int:
    """VmRSS (now) or VmHWM (the highest) of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def forget_highest() -> None:
    """Let VmHWM begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def three_steps(model: str, vocab_size: int, ranks: int) -> float:
    """The highest resident memory of this rank in the third step, less that before the model, a parameter."""
    import torch

    from train.distributed.parallel_dims import ParallelDims
    from train.distributed.parallel_model import parallelise
    from train.model.config import named_model
    from train.model.init import initialise
    from train.optimizer import build_optimizer

    config = named_model(model, vocab_size=vocab_size, max_sequence_length=LENGTH)
    before = resident("VmRSS")
    parallel = parallelise(config, ParallelDims(dp=ranks), device=torch.device("cpu"), precision="bf16", micro_batch=1)
    initialise(parallel.model, 0)
    optimizer = build_optimizer(parallel.model, 1e-4)
    windows = torch.randint(0, vocab_size, (2, LENGTH + 1))
    for _ in range(3):
        forget_highest()
        parallel.forward_backward(windows, None, 1 / (2 * LENGTH * ranks))
        parallel.clip_gradients(1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return (resident("VmHWM") - before) / config.num_parameters


def train_rank(rank: int, ranks: int, port: int, model: str, vocab_size: int, results: "mp.SimpleQueue") -> None:
    """One rank; what libraries allocate once, whatever the model, is spent on a tiny one first."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    three_steps("nano", 256, ranks)
    results.put(three_steps(model, vocab_size, ranks))
    dist.destroy_process_group()


def measure_zero(model: str, vocab_size: int, ranks: int) -> dict[str, float]:
    """Bytes a parameter of the fullest of `ranks` ranks."""
    import torch.multiprocessing as mp

    from train.model.config import named_model

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    results = mp.get_context("spawn").SimpleQueue()
    mp.spawn(train_rank, (ranks, port, model, vocab_size, results), nprocs=ranks)
    measured = max(results.get() for _ in range(ranks))
    formula = 2 + 4 + 12 / ranks
    config = named_model(model, vocab_size=vocab_size)
    layer = 4 * config.dim**2 + 3 * config.dim * config.ffn_dim
    share = max(layer, vocab_size * config.dim) / config.num_parameters
    return {
        "measured": round(measured, 2),
        "formula": formula,
        "ratio": round(measured / formula, 3),
        "formula_and_one_group": round(formula + share * (6 + 4 / ranks), 2),
    }


def loss_process(rank: int, kind: str, tokens: int, results: "mp.SimpleQueue") -> None:
    """One loss and its gradient; puts the bytes a logit at the highest."""
    import torch
    import torch.nn.functional as F

    from train.model.config import DEEPSEEK_VOCAB_SIZE
    from train.model.loss import cross_entropy_sum

    torch.set_num_threads(1)
    hidden = torch.randn(tokens, 16, dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn(16, DEEPSEEK_VOCAB_SIZE, dtype=torch.bfloat16)
    targets = torch.randint(0, DEEPSEEK_VOCAB_SIZE, (tokens,))
    (hidden[:1] @ head).sum().backward()  # what libraries allocate once is not counted
    before = resident("VmRSS")
    forget_highest()
    logits = hidden @ head
    if kind == "in_place":
        loss = cross_entropy_sum(logits, targets)
    else:
        loss = F.cross_entropy(logits.float(), targets, reduction="sum")
    loss.backward()
    results.put((resident("VmHWM") - before) / (tokens * DEEPSEEK_VOCAB_SIZE))


def measure_loss(kind: str, tokens: int) -> float:
    """Bytes a logit of a loss."""
    import torch.multiprocessing as mp

    results = mp.get_context("spawn").SimpleQueue()
    mp.spawn(loss_process, (kind, tokens, results), nprocs=1)
    return round(results.get(), 2)


def main() -> None:
    """Measure and print."""
    parser = new_parser(__doc__)
    parser.add_argument("--model", default="small")
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--ranks", default="2,4")
    parser.add_argument("--tokens", type=int, default=512)
    args = parser.parse_args()
    counts = [int(count) for count in args.ranks.split(",")]
    zero = {f"dp {count}": measure_zero(args.model, args.vocab_size, count) for count in counts}
    loss = {kind: measure_loss(kind, args.tokens) for kind in ("in_place", "cross_entropy")}
    print(json.dumps(vars(args) | {"bytes_per_parameter": zero, "loss_bytes_per_logit": loss}, indent=1))


if __name__ == "__main__":
    main()
