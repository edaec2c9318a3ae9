"""A pretraining run from token shards to a model folder: what the stage and `headwater train` both call.

OUT/metrics.jsonl      one line per step
OUT/tensorboard/       the same, where TensorBoard is installed
OUT/checkpoints/       step-NNNNNNNNN
OUT/export/            the model for Hugging Face

Every process of a run calls it with the same arguments; `train.distributed.launch` starts them.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash

from corpus.errors import HeadwaterError, UsageError
from corpus.io import storage
from tokenizer.shards import TokenShards, open_shards
from train.checkpoint.checkpoints import Checkpoints, OtherRun
from train.checkpoint.hugging_face import export_model
from train.data.stream import TokenStream
from train.distributed.parallel_model import parallelise
from train.distributed.rank_environment import is_first_attempt
from train.distributed.world import joined
from train.loop import Display, Trainer
from train.metrics import Metrics, MetricsLog
from train.settings import OPERATIONAL, TrainSettings
from train.validate import BitsPerByte

__all__ = ["OtherRun", "RunData", "pretrain"]


@dataclass(frozen=True, kw_only=True)
class RunData:
    """What a run reads: folders of token shards and shares of tokens by domain (None: natural), the tokenizer."""

    tokens: Mapping[str, str]
    weights: Mapping[str, float] | None = None
    validation: Mapping[str, str] | None = None
    tokenizer_folder: str | None = None


def pretrain(
    settings: TrainSettings,
    data: RunData,
    out: str,
    display: Display | None = None,
    *,
    restart: bool = False,
    replace: bool = False,
) -> dict[str, Any]:
    """Train to the last step, resuming what `out` holds, and export the model; return a summary of the run.

    `display` is told what happens (None: it is not shown; `train.progress` has displays for people). The summary holds
    no times: on the same mesh, device and number of threads it is the same for every run of the same settings and data,
    interrupted or not. Only rank 0 exports and has it, on other ranks it is empty.
    `restart` discards checkpoints first (not those of this run, where a launcher starts it again), `replace` those of
    another run. Raises UsageError for settings that do not fit the machine or the data, and OtherRun where `out` holds
    another run's checkpoints. Raises PeerLost where another process of the run failed, and HeadwaterError where a file
    cannot be written.
    """
    storage.require_writable(out)
    if settings.reuse_stage_one and os.path.abspath(settings.reuse_stage_one) == os.path.abspath(out):
        raise UsageError(f"reuse_stage_one: {out} is this run's own folder; write the longer run to another one")
    if data.tokenizer_folder and not storage.exists(storage.join(data.tokenizer_folder, "tokenizer.json")):
        raise UsageError(f"{data.tokenizer_folder}: no tokenizer.json there to export with the model")
    device = choose_device(settings.device)
    vocab_size, tokenizer_hash = shared_vocabulary([*data.tokens.values(), *(data.validation or {}).values()])
    settings.check_mesh(vocab_size)
    with _disk_errors(out), joined(device) as world:
        torch.set_num_threads(settings.threads or max(1, available_cpus() // world.local_size))
        stream = TokenStream(
            data.tokens,
            sequence_length=settings.sequence_length,
            seed=settings.seed,
            weights=data.weights,
            changes=[(change.at_token, change.weights) for change in settings.mixture_changes],
            packing=settings.packing,
            cache_bytes=settings.cache_bytes,
            tokenizer_hash=tokenizer_hash,
            vocab_size=vocab_size,
        )
        validation = {name: open_shards(folder) for name, folder in sorted((data.validation or {}).items())}
        config = settings.build_model_config(vocab_size)
        parallel = parallelise(
            config, settings.mesh, device=device, precision=settings.precision, micro_batch=settings.micro_batch
        )
        display = display if display and world.first else Display()
        display.note(
            f"{settings.model}: {config.num_parameters / 1e6:,.2f}M parameters, vocabulary {vocab_size:,}, "
            f"{settings.steps:,} steps of {settings.tokens_per_step:,} tokens on {device.type}"
            + (f", {world.size} processes: {settings.mesh}" if world.size > 1 else "")
        )
        run, stage_one = (run_hash(settings, stream, validation, *without) for without in ((), ("steps",)))
        folder = storage.join(out, "checkpoints")
        checkpoints = Checkpoints(folder, run=run, keep=settings.keep_checkpoints, replace=replace, world=world)
        files = (storage.join(out, "metrics.jsonl"), storage.join(out, "tensorboard"))
        metrics = MetricsLog(*files) if world.first else Metrics()
        trainer = Trainer(
            settings, parallel, stream, validation, checkpoints, metrics, display, world, stage_one=stage_one
        )
        if restart and is_first_attempt():
            checkpoints.clear()
        trainer.run()
        metrics.close()
        bits = trainer.validate()
        if not world.first:
            return {}
        manifest = stream.sources[0].shards.manifest
        exported = export_model(
            storage.join(out, "export"),
            config,
            checkpoints.weights(settings.steps),
            bos=manifest.get("bos"),
            eos=manifest.get("eos"),
            tokenizer_folder=data.tokenizer_folder,
        )
    return summarise(settings, config.num_parameters, stream, trainer.last_loss, bits) | {
        "model": config.to_dict(),
        "export": exported,
        "threads": torch.get_num_threads(),
        "device": device.type,
    }


@contextmanager
def _disk_errors(out: str) -> Iterator[None]:
    """Turn an error of a disk that is full, gone or read-only into a message with the mend."""
    try:
        yield
    except BrokenPipeError:  # of the display: its reader has stopped
        raise
    except OSError as error:
        raise HeadwaterError(
            f"{error.filename or out}: {error.strerror or error}; mend that and give the same command again: it goes "
            "on from the last checkpoint"
        ) from error


def available_cpus() -> int:
    """The CPUs that this process may use: by affinity, and by the quota of its container (Linux, cgroup v2)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return cpus if quota == "max" else max(1, min(cpus, int(quota) // int(period)))
    except (OSError, ValueError):
        return cpus


def choose_device(name: str) -> torch.device:
    """The device of this process; raise UsageError where it is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda: PyTorch sees no CUDA device here; use device: auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def shared_vocabulary(folders: list[str]) -> tuple[int, str]:
    """The padded vocabulary and the tokenizer's hash of folders of token shards; raise UsageError where they differ."""
    found = {folder: open_shards(folder).manifest for folder in folders}
    kinds = {(manifest["model_vocab_size"], manifest["tokenizer_hash"]) for manifest in found.values()}
    if len(kinds) > 1:
        listed = "\n".join(f"  {folder}: {manifest['tokenizer_hash']}" for folder, manifest in found.items())
        raise UsageError(f"the token folders were made with different tokenizers:\n{listed}\nmake them again with one")
    vocab_size, tokenizer_hash = kinds.pop()
    return int(vocab_size), str(tokenizer_hash)


def run_hash(settings: TrainSettings, stream: TokenStream, validation: Mapping[str, TokenShards], *without: str) -> str:
    """The hash of what decides a run's weights and measurements: which checkpoints it may go on from.

    Changes of the mixture are not part of it: the stream's own state holds those before a checkpoint.
    """
    chosen = settings.model_dump(mode="json", exclude={*OPERATIONAL, "mixture_changes", *without})
    held_out = {name: shards.manifest["files"] for name, shards in validation.items()}
    return xxhash.xxh3_128_hexdigest(json.dumps([chosen, stream.fingerprint_at(0), held_out], sort_keys=True).encode())


def summarise(
    settings: TrainSettings, parameters: int, stream: TokenStream, loss: float, bits: Mapping[str, BitsPerByte]
) -> dict[str, Any]:
    """The figures of a finished run: tokens read by domain, the last loss, bits per byte of all held-out text."""
    samples = stream.counts(settings.steps * settings.batch_size)
    domains = {
        source.name: {
            "tokens": samples[source.name] * settings.sequence_length,
            "epochs": samples[source.name] * settings.sequence_length / source.num_tokens,
        }
        for source in stream.sources
    }
    total = sum(bits.values(), start=BitsPerByte(0.0, 0, 0.0))
    return {
        "parameters": parameters,
        "steps": settings.steps,
        "tokens": settings.steps * settings.tokens_per_step,
        "domains": domains,
        "loss": loss,
        "bits_per_byte": {
            name: None if math.isnan(value.bits_per_byte) else value.bits_per_byte
            for name, value in [*bits.items(), *([("all", total)] if bits else [])]
        },
        "validation_tokens": {name: value.tokens for name, value in bits.items()},
    }
