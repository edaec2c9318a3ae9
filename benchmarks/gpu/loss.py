"""The in-place loss beside F.cross_entropy on one GPU: milliseconds and bytes a logit, bf16, the paper's vocabulary.

    python benchmarks/gpu/loss.py [--tokens 4096] [--rounds 20]

From hidden states to their gradient, through a narrow head. `benchmarks/train_memory.py` measures the memory on a
CPU. Prints one JSON object.
"""

import argparse
import json
import statistics
import sys
import time


def measure(in_place: bool, tokens: int, rounds: int) -> dict[str, float]:
    """The median time and the highest memory of one loss and its gradient."""
    import torch
    import torch.nn.functional as F

    from train.model.config import DEEPSEEK_VOCAB_SIZE
    from train.model.loss import cross_entropy_sum

    targets = torch.randint(0, DEEPSEEK_VOCAB_SIZE, (tokens,), device="cuda")
    hidden = torch.randn(tokens, 16, dtype=torch.bfloat16, device="cuda", requires_grad=True)
    head = torch.randn(16, DEEPSEEK_VOCAB_SIZE, dtype=torch.bfloat16, device="cuda")
    times = []
    for _ in range(rounds + 3):
        hidden.grad = None
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        begin = time.perf_counter()
        logits = hidden @ head
        if in_place:
            cross_entropy_sum(logits, targets).backward()
        else:
            F.cross_entropy(logits.float(), targets, reduction="sum").backward()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
        held = torch.cuda.max_memory_allocated() - before
        del logits
    return {
        "milliseconds": round(1000 * statistics.median(times[3:]), 2),
        "bytes_per_logit": round(held / (tokens * DEEPSEEK_VOCAB_SIZE), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.exit(
            "benchmarks/gpu/loss.py needs a CUDA device; benchmarks/train_memory.py measures the memory without one"
        )
    found = {name: measure(name == "in_place", args.tokens, args.rounds) for name in ("in_place", "cross_entropy")}
    print(json.dumps(vars(args) | found, indent=1))


if __name__ == "__main__":
    main()
