"""Training steps beside transformers' LlamaForCausalLM: same shape, batch, AdamW, clipping and threads, in one run.

Ours are the steps of the training loop (`train.distributed.parallel_model`, on a mesh of one process); theirs are
the usual five lines.

    python benchmarks/train_step.py [--model nano] [--vocab-size 8192] [--batch-size 16] [--sequence-length 256]
                                    [--threads 1] [--rounds 7]

Rounds take turns, and the medians are compared. Prints one JSON object.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

from arguments import new_parser
from timing import in_turns, medians, per_wall_second


def headwater_step(args: argparse.Namespace, windows: Any) -> Callable[[], int]:
    """A step of the training loop."""
    import torch

    from train.distributed.parallel_dims import ParallelDims
    from train.distributed.parallel_model import parallelise
    from train.model.config import named_model
    from train.model.init import initialise
    from train.optimizer import build_optimizer

    config = named_model(args.model, vocab_size=args.vocab_size, max_sequence_length=args.sequence_length)
    cpu, tokens = torch.device("cpu"), args.batch_size * args.sequence_length
    parallel = parallelise(config, ParallelDims(), device=cpu, precision="fp32", micro_batch=args.batch_size)
    initialise(parallel.model, 0)
    optimizer = build_optimizer(parallel.model, 1e-4)

    def step() -> int:
        parallel.forward_backward(windows, None, 1 / tokens)
        parallel.clip_gradients(1.0)
        optimizer.step()
        optimizer.zero_grad()
        return tokens

    return step


def transformers_step(args: argparse.Namespace, windows: Any) -> Callable[[], int]:
    """The usual five lines; raises ImportError where transformers is not installed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from train.model.config import named_model
    from train.optimizer import BETAS

    config = named_model(args.model, vocab_size=args.vocab_size, max_sequence_length=args.sequence_length)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.dim,
            intermediate_size=config.ffn_dim,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=args.sequence_length,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=BETAS, fused=True)

    def step() -> int:
        model(input_ids=windows[:, :-1], labels=windows[:, :-1]).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return args.batch_size * args.sequence_length

    return step


def main() -> None:
    """Measure and print."""
    parser = new_parser(__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ours-only", action="store_true", help="without transformers")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    generator = torch.Generator().manual_seed(0)
    windows = torch.randint(0, args.vocab_size, (args.batch_size, args.sequence_length + 1), generator=generator)
    steps = {"headwater": headwater_step(args, windows)}
    if not args.ours_only:
        try:
            steps["transformers"] = transformers_step(args, windows)
        except ImportError as error:
            print(f"transformers is left out: {error}")
    rates = medians(in_turns({name: per_wall_second(step) for name, step in steps.items()}, args.rounds))
    found: dict[str, float] = {f"{name}_tokens_per_second": round(rate) for name, rate in rates.items()}
    if "transformers" in rates:
        found["ratio"] = round(rates["headwater"] / rates["transformers"], 3)
    print(json.dumps(vars(args) | found, indent=1))


if __name__ == "__main__":
    main()
