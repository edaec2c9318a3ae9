"""`headwater train`: pretrain a model on folders of token shards, with no recipe and no cluster."""

import argparse
import contextlib
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from corpus import storage
from corpus.errors import UsageError
from pipelines.stages.train import require_torch
from train.config import MODELS
from train.settings import TrainSettings

EXAMPLE = """\
examples:
  headwater train --tokens tokens --model nano --steps 400 --out runs/nano
  headwater train --tokens tokens/domain=web tokens/domain=code --weights web=0.8 code=0.2 \\
      --validation validation/domain=web validation/domain=code --model mini --steps 20000 \\
      --batch-size 64 --sequence-length 1024 --learning-rate 1e-3 --out runs/mini
  headwater train --tokens tokens --model nano --steps 1200 --reuse-stage-one runs/nano --out runs/nano-longer

The same command goes on where it was stopped. OUT/export is a model that transformers loads.
"""

# the settings that have an option, with what --help says of them; types and limits are those of TrainSettings
OPTIONS = {
    "model": f"named size: {', '.join(MODELS)}",
    "steps": "optimizer steps",
    "batch_size": "sequences a step",
    "micro_batch_size": "sequences at once (memory)",
    "sequence_length": "tokens a sequence",
    "learning_rate": "peak learning rate",
    "schedule": "multi_step, cosine or wsd",
    "warmup_steps": "steps of linear warmup",
    "weight_decay": "decay of matrices",
    "init_std": "deviation of the starting weights",
    "num_kv_heads": "key-value heads, for grouped-query attention",
    "precision": "fp32 or bf16",
    "seed": "of the weights and of the order of the data",
    "device": "auto, cpu or cuda",
    "threads": "CPU threads; 0: all",
    "validate_every": "steps between validations",
    "validation_tokens": "of each domain at each validation but the last, which reads all",
    "checkpoint_seconds": "seconds between checkpoints",
    "keep_checkpoints": "checkpoints to keep",
    "reuse_stage_one": "OUT of a shorter run with the same settings, to go on from the end of its constant rate",
}


def register(subparsers: Any) -> None:
    """Add the command to the parser of `headwater`."""
    parser = subparsers.add_parser(
        "train",
        help="pretrain a model on token shards",
        description="Pretrain a language model on folders of token shards, and export it for Hugging Face.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--tokens", nargs="+", required=True, metavar="DIR", help="folders of token shards, one a domain"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="receives metrics, checkpoints and the model")
    parser.add_argument("--weights", nargs="+", metavar="NAME=SHARE", help="shares of tokens (default: natural)")
    parser.add_argument("--validation", nargs="+", default=[], metavar="DIR", help="folders of held-out token shards")
    parser.add_argument("--tokenizer", metavar="DIR", help="folder of the tokenizer.json to export with the model")
    for name, text in OPTIONS.items():
        default = TrainSettings.model_fields[name].default
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="VALUE",
            help=text if default is None else f"{text} (default: {default})",
        )
    parser.add_argument("--document-mask", action="store_true", help="attend within a document only")
    parser.add_argument("--restart", action="store_true", help="discard the checkpoints in OUT")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and say where the model is."""
    settings = build_settings(args)
    module = require_torch()
    data = module.RunData(
        tokens=by_domain(args.tokens),
        weights=parse_weights(args.weights) if args.weights else None,
        validation=by_domain(args.validation),
        tokenizer_folder=args.tokenizer,
    )
    console = Console()
    from train.progress import LiveDisplay, PlainDisplay

    with contextlib.ExitStack() as stack:
        display = stack.enter_context(LiveDisplay(console)) if console.is_terminal else PlainDisplay()
        summary = module.pretrain(settings, data, args.out, display, restart=args.restart)
    storage.write_json(storage.join(args.out, "manifest.json"), {"summary": summary})
    figures = ", ".join(f"{name} {value:.3f}" for name, value in summary["bits_per_byte"].items() if value is not None)
    print(f"trained on {summary['tokens']:,} tokens; loss {summary['loss']:.3f} nats a token")
    if figures:
        print(f"bits per byte of held-out text: {figures}")
    print(f"model: {storage.join(args.out, 'export')}")
    return 0


def build_settings(args: argparse.Namespace) -> TrainSettings:
    """The settings that the options give; raise UsageError naming each option that is wrong."""
    given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    try:
        return TrainSettings.model_validate(given | {"document_mask": args.document_mask})
    except ValidationError as error:
        wrong = (
            f"--{str(e['loc'][0]).replace('_', '-')} {e['input']}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise UsageError("\n".join(wrong)) from None


def by_domain(folders: list[str]) -> dict[str, str]:
    """Folders by the name of their domain: what follows `domain=` in their last part, or that part itself."""
    named = {PurePosixPath(folder.rstrip("/")).name.removeprefix("domain="): folder for folder in folders}
    if len(named) != len(folders):
        raise UsageError(
            f"{' '.join(folders)}: two of these folders have the same name; domains are named after folders"
        )
    return named


def parse_weights(words: list[str]) -> dict[str, float]:
    """`web=0.8 code=0.2` as a mapping; raise UsageError for anything else."""
    try:
        shares = {name: float(share) for name, share in (word.split("=") for word in words)}
        if len(shares) < len(words):
            raise ValueError
        return shares
    except ValueError:
        raise UsageError(
            f"--weights {' '.join(words)}: give NAME=SHARE once for each domain, e.g. web=0.8 code=0.2"
        ) from None
