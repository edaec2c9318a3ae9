"""Training steps beside transformers' LlamaForCausalLM: same shape, batch, AdamW, clipping and threads, in one run.

Ours are the steps of the training loop (`train.distributed.parallel_model`, on a mesh of one process); theirs are the
usual five lines.

    python benchmarks/train_step.py [--model nano] [--vocab-size 8192] [--batch-size 16] [--sequence-length 256]
                                    [--threads 1] [--rounds 7]

Rounds take turns, and the medians are compared. Prints one JSON object.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from train.distributed.parallel_dims import ParallelDims
from train.distributed.parallel_model import parallelise
from train.model.config import named_model
from train.model.init import initialise
from train.optimizer import BETAS, build_optimizer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--sequence-length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = named_model(args.model, vocab_size=args.vocab_size, max_sequence_length=args.sequence_length)
    cpu = torch.device("cpu")
    ours = parallelise(config, ParallelDims(), device=cpu, precision="fp32", micro_batch=args.batch_size)
    initialise(ours.model, 0)
    theirs = LlamaForCausalLM(
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
    generator = torch.Generator().manual_seed(0)
    windows = torch.randint(0, config.vocab_size, (args.batch_size, args.sequence_length + 1), generator=generator)
    tokens = args.batch_size * args.sequence_length

    def our_gradients() -> None:
        ours.forward_backward(windows, None, 1 / tokens)
        ours.clip_gradients(1.0)

    def their_gradients() -> None:
        theirs(input_ids=windows[:, :-1], labels=windows[:, :-1]).loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)

    def stepper(gradients: Callable[[], None], optimizer: torch.optim.Optimizer) -> float:
        start = time.perf_counter()
        gradients()
        optimizer.step()
        optimizer.zero_grad()
        return tokens / (time.perf_counter() - start)

    adam = torch.optim.AdamW(theirs.parameters(), lr=1e-4, betas=BETAS, fused=True)
    runs = {"headwater": (our_gradients, build_optimizer(ours.model, 1e-4)), "transformers": (their_gradients, adam)}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(args.rounds + 1):
        for name, run in runs.items():
            measured = stepper(*run)
            if round_number:
                rates[name].append(measured)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    found = {f"{name}_tokens_per_second": round(value) for name, value in medians.items()}
    print(
        json.dumps(vars(args) | found | {"ratio": round(medians["headwater"] / medians["transformers"], 3)}, indent=1)
    )


if __name__ == "__main__":
    main()
