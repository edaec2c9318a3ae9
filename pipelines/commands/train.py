"""`headwater train`: pretrain a model on folders of token shards or on those of a recipe, with no cluster.

A mesh of several processes is started here, on one machine; under torchrun each process is one of them.
"""

import argparse
import os
from contextlib import nullcontext
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from corpus.errors import HeadwaterError, UsageError
from corpus.io import storage
from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.engine import pipeline
from pipelines.engine.run_lock import only_run
from pipelines.stages import stages_of
from pipelines.stages.train import TrainStage, require_torch
from train.distributed.launch import launch
from train.distributed.parallel_dims import ParallelDims
from train.distributed.rank_environment import is_launched
from train.model.config import MODELS
from train.settings import TrainSettings

EXAMPLE = """\
examples:
  headwater train recipes/sample.yaml --set train.mesh.dp=2
  headwater train --tokens tokens --model nano --steps 400 --out runs/nano
  headwater train --tokens tokens/domain=web tokens/domain=code --weights web=0.8 code=0.2 \\
      --validation validation/domain=web validation/domain=code --model mini --steps 20000 \\
      --batch-size 64 --sequence-length 1024 --learning-rate 1e-3 --out runs/mini
  headwater train --tokens tokens --model nano --steps 1200 --reuse-stage-one runs/nano --out runs/nano-longer
  headwater train --tokens tokens --model nano --mesh pp=2,dp=2 --out runs/nano
  torchrun --nproc-per-node 4 -m pipelines train --tokens tokens --model nano --mesh pp=2,dp=2 --out runs/nano

The same command goes on where it was stopped. OUT/export is a model that transformers loads.
"""

# the settings that have an option, with what --help says of them; types and limits are those of TrainSettings
OPTIONS = {
    "model": f"named size: {', '.join(MODELS)}",
    "steps": "optimizer steps",
    "batch_size": "sequences per step",
    "micro_batch_size": "sequences at once (memory)",
    "sequence_length": "tokens per sequence",
    "packing": "concatenate, or best_fit to cut few documents",
    "learning_rate": "peak learning rate",
    "schedule": "multi_step, cosine or wsd",
    "warmup_steps": "steps of linear warmup",
    "weight_decay": "decay of matrices",
    "init_std": "deviation of the starting weights",
    "num_kv_heads": "key-value heads, for grouped-query attention",
    "precision": "fp32 or bf16",
    "seed": "of the weights and of the order of the data",
    "device": "auto, cpu or cuda",
    "threads": "CPU threads of a process; 0: all, shared out",
    "validate_every": "steps between validations",
    "validation_tokens": "of each domain at each validation but the last, which reads all",
    "checkpoint_seconds": "seconds between checkpoints",
    "keep_checkpoints": "checkpoints to keep",
    "restarts": "how often a run that loses a process is started again",
    "peak_flops": "FLOP/s of one device, for the utilisation",
    "reuse_stage_one": "OUT of a shorter run with the same settings, to go on from the end of its constant rate",
}


def register(subparsers: Any) -> None:
    """Add the command to the parser of `headwater`."""
    parser = subparsers.add_parser(
        "train",
        help="pretrain a model on token shards",
        description="Pretrain a language model on folders of token shards, or on those of a recipe's run, and export "
        "it for Hugging Face.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser, optional=True)
    parser.add_argument("--tokens", nargs="+", metavar="DIR", help="folders of token shards, one per domain")
    parser.add_argument("--out", metavar="DIR", help="receives metrics, checkpoints and the model")
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
    parser.add_argument("--mesh", metavar="pp=N,dp=N,tp=N", help="processes: pipeline stages, data and tensor parallel")
    parser.add_argument(
        "--mixture-change",
        nargs="+",
        action="append",
        default=[],
        metavar=("TOKEN", "NAME=SHARE"),
        help="other weights from a token of the run on; may be given again",
    )
    parser.add_argument("--document-mask", action="store_true", help="attend within a document only")
    parser.add_argument("--restart", action="store_true", help="discard the checkpoints in OUT")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and say where the model is."""
    if args.recipe:
        return run_recipe(args)
    if not (args.tokens and args.out):
        raise UsageError("train: give a RECIPE, or folders of token shards with --tokens and a folder with --out")
    settings = build_settings(args)
    module = require_torch()
    data = module.RunData(
        tokens=by_domain(args.tokens),
        weights=parse_weights(args.weights) if args.weights else None,
        validation=by_domain(args.validation),
        tokenizer_folder=args.tokenizer,
    )
    arguments = (settings, data, args.out, args.restart)
    if is_launched() or settings.mesh.world == 1:
        summary = train(*arguments)
    else:
        summary = launch(train, arguments, settings.mesh.world, restarts=settings.restarts, note=print)
    if summary:
        storage.write_json(storage.join(args.out, "manifest.json"), {"summary": summary})
        say(summary, storage.join(args.out, "export"))
    return 0


def train(settings: TrainSettings, data: Any, out: str, restart: bool) -> dict[str, Any]:
    """What one process of the run does; its summary on rank 0, nothing on others."""
    from train.progress import shown

    with shown() as display:
        summary: dict[str, Any] = require_torch().pretrain(settings, data, out, display, restart=restart)
    return summary


def run_recipe(args: argparse.Namespace) -> int:
    """The train stage of a recipe whose token shards are made; `headwater run` then finds it done."""
    given = [name for name in (*OPTIONS, "tokens", "out", "weights", "tokenizer", "mesh") if getattr(args, name)]
    if given or args.validation or args.document_mask or args.restart:
        option = (given or ["validation" if args.validation else "document_mask" if args.document_mask else "restart"])[
            0
        ]
        raise UsageError(
            f"train: a recipe and --{option.replace('_', '-')} do not go together; the recipe has its own settings, "
            "which --set train.NAME=VALUE overrides"
        )
    recipe = recipe_from(args)
    *earlier, planned = pipeline.plan(stages_of(recipe))
    stage = planned.stage
    if not isinstance(stage, TrainStage):
        raise UsageError(f"{args.recipe}: the recipe says `train: null`; give it a train section")
    for other in earlier:
        missing = [task.output for task, counts in zip(other.tasks, other.counts) if counts is None]
        if other.stage.name in stage.reads and (other.why_not or missing):
            raise HeadwaterError(
                f"{storage.join(recipe.root, missing[0]) if missing else other.stage.name} is not made yet, or by "
                f"other settings; run `headwater run {args.recipe} --until tokens` first"
            )
    (task,) = planned.tasks
    stage.live = True
    if planned.counts == [None]:
        first = os.environ.get("RANK", "0") == "0"  # of torchrun's processes one speaks for all
        with only_run(recipe.root) if first else nullcontext():
            if not stage.run(task):
                return 0
    summary = storage.read_json(stage.path(task.output))["summary"]
    say(summary, stage.path("train/export"))
    return 0


def say(summary: dict[str, Any], model: str) -> None:
    """The result for a person."""
    figures = ", ".join(f"{name} {value:.3f}" for name, value in summary["bits_per_byte"].items() if value is not None)
    print(f"trained on {summary['tokens']:,} tokens; loss {summary['loss']:.3f} nats per token")
    if figures:
        print(f"bits per byte of held-out text: {figures}")
    print(f"model: {model}")


def build_settings(args: argparse.Namespace) -> TrainSettings:
    """The settings that the options give; raise UsageError naming each option that is wrong."""
    given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    if args.mesh:
        given["mesh"] = dict(part.partition("=")[::2] for part in args.mesh.split(","))
    given["mixture_changes"] = [
        {"at_token": token, "weights": parse_weights(words, "--mixture-change")}
        for token, *words in args.mixture_change
    ]
    try:
        return TrainSettings.model_validate(given | {"document_mask": args.document_mask})
    except ValidationError as error:
        raise UsageError("\n".join(_explain(item) for item in error.errors())) from None


def _explain(error: Any) -> str:
    said = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # several settings together
        return str(said)
    option = f"--{str(error['loc'][0]).replace('_', '-')}"
    inner = "".join(f" {part}" for part in error["loc"][1:])
    if error["type"] == "extra_forbidden":
        said = "unknown; the valid names are: " + ", ".join(ParallelDims.model_fields)
    return f"{option}{inner} {error['input']}: {said}"


def by_domain(folders: list[str]) -> dict[str, str]:
    """Folders by the name of their domain: what follows `domain=` in their last part, or that part itself."""
    named = {PurePosixPath(folder.rstrip("/")).name.removeprefix("domain="): folder for folder in folders}
    if len(named) != len(folders):
        raise UsageError(
            f"{' '.join(folders)}: two of these folders have the same name; domains are named after folders"
        )
    return named


def parse_weights(words: list[str], option: str = "--weights") -> dict[str, float]:
    """`web=0.8 code=0.2` as a mapping; raise UsageError for anything else."""
    try:
        shares = {name: float(share) for name, share in (word.split("=") for word in words)}
        if len(shares) < len(words):
            raise ValueError
        return shares
    except ValueError:
        raise UsageError(
            f"{option} {' '.join(words)}: give NAME=SHARE once for each domain, e.g. web=0.8 code=0.2"
        ) from None
