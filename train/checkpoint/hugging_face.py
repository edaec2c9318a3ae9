"""A model as a Hugging Face Llama folder, and back.

The weights are the same numbers under other names: the rotary convention is Hugging Face's already, so
nothing is permuted. The folder holds config.json, generation_config.json, safetensors (in several files with an index
when large) and the tokenizer. It is loaded by `transformers.AutoModelForCausalLM` and by servers that read the same
format, such as vLLM. An earlier model is removed first, everything is written atomically and config.json last, so a
folder that has one is whole.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from corpus.errors import UsageError
from corpus.io import storage
from train.model.config import ModelConfig
from train.model.llama import Transformer

MAX_FILE_BYTES = 5 * 10**9  # Hugging Face's own limit for one file of weights
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")

_NAMES = {
    "embedding.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER_NAMES = {
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "ffn.w1": "mlp.gate_proj",
    "ffn.w2": "mlp.down_proj",
    "ffn.w3": "mlp.up_proj",
}


def hugging_face_name(name: str) -> str:
    """The name in `LlamaForCausalLM` of a parameter of `train.model.llama.Transformer`."""
    if name in _NAMES:
        return _NAMES[name]
    _, number, part = name.removesuffix(".weight").split(".", 2)
    return f"model.layers.{number}.{_LAYER_NAMES[part]}.weight"


def hugging_face_config(config: ModelConfig, dtype: str, bos: int | None, eos: int | None) -> dict[str, Any]:
    """config.json, for transformers 4 (rope_theta, torch_dtype) and 5 (rope_parameters, dtype)."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.dim,
        "intermediate_size": config.ffn_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_sequence_length,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "initializer_range": config.init_std,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        "use_cache": True,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def export_model(
    folder: str,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    *,
    bos: int | None,
    eos: int | None,
    tokenizer_folder: str | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> list[str]:
    """Write the folder and return the names of its files.

    `weights` are by the names of `train.model.llama.Transformer`. Each is asked for once, when its file is written, so
    a mapping that reads them on demand holds one file's worth of a large model at a time. Of `tokenizer_folder`,
    the files of a Hugging Face tokenizer that are there are copied.
    """
    _remove_model(folder)
    with torch.device("meta"):
        shapes = {name: value.numel() for name, value in Transformer(config).named_parameters()}
    dtype = weights["norm.weight"].dtype
    parts = _split({name: count * dtype.itemsize for name, count in shapes.items()}, max_file_bytes)
    names = []

    def write(name: str, data: bytes) -> None:
        storage.write_bytes(storage.join(folder, name), data)
        names.append(name)

    index: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        name = "model.safetensors" if len(parts) == 1 else f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        tensors = {hugging_face_name(ours): weights[ours].contiguous() for ours in part}
        write(name, save_safetensors(tensors, metadata={"format": "pt"}))
        index |= dict.fromkeys(tensors, name)
    if len(parts) > 1:
        total = sum(shapes.values()) * dtype.itemsize
        write("model.safetensors.index.json", _json({"metadata": {"total_size": total}, "weight_map": index}))
    for name, data in _tokenizer_files(tokenizer_folder, bos, eos, config.max_sequence_length):
        write(name, data)
    write("generation_config.json", _json({"bos_token_id": bos, "eos_token_id": eos, "do_sample": False}))
    write("config.json", _json(hugging_face_config(config, str(dtype).removeprefix("torch."), bos, eos)))
    return sorted(names)


def _remove_model(folder: str) -> None:
    """Remove config.json, then every file that a loader could take for a part of the new model."""
    inside = [info.path for info in storage.list_files(folder)]
    for path in [storage.join(folder, "config.json"), *inside]:
        name = path.rsplit("/", 1)[1]
        if name.startswith("model") or name in ("config.json", *TOKENIZER_FILES):
            storage.delete(path)


def import_model(folder: str) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Read a Llama folder back: the model's shape, and its weights by the names of `train.model.llama.Transformer`.

    Raises UsageError for a folder whose architecture this model does not have.
    """
    found = storage.read_json(storage.join(folder, "config.json"))
    theta = found.get("rope_theta", 10_000.0)  # transformers 4 has it here, and its scaling in rope_scaling
    rope = {"rope_theta": theta} | (found.get("rope_parameters") or found.get("rope_scaling") or {})
    if (
        found.get("model_type") != "llama"
        or found.get("tie_word_embeddings")
        or found.get("hidden_act", "silu") != "silu"
        or rope.get("rope_type", rope.get("type", "default")) != "default"
    ):
        raise UsageError(
            f"{folder}: only plain Llama models with untied embeddings, SiLU and unscaled RoPE can be read"
        )
    config = ModelConfig(
        vocab_size=found["vocab_size"],
        dim=found["hidden_size"],
        num_layers=found["num_hidden_layers"],
        num_heads=found["num_attention_heads"],
        num_kv_heads=found.get("num_key_value_heads"),
        ffn_multiple=found["intermediate_size"],
        max_sequence_length=found["max_position_embeddings"],
        rope_theta=rope["rope_theta"],
        norm_eps=found["rms_norm_eps"],
        init_std=found["initializer_range"],
    )
    if config.ffn_dim != found["intermediate_size"] or found.get("head_dim", config.head_dim) != config.head_dim:
        raise UsageError(f"{folder}: its feed-forward or heads have a width that this model cannot have")
    ours = {hugging_face_name(name): name for name in _parameter_names(config)}
    path = storage.join(folder, "model.safetensors.index.json")
    files = (
        sorted(set(storage.read_json(path)["weight_map"].values())) if storage.exists(path) else ["model.safetensors"]
    )
    weights = {}
    for file in files:
        for name, value in load_safetensors(storage.read_bytes(storage.join(folder, file))).items():
            if name not in ours:
                raise UsageError(f"{folder}/{file}: parameter {name} is unknown to this model")
            weights[ours[name]] = value
    if missing := sorted(set(ours.values()) - set(weights)):
        raise UsageError(f"{folder}: the weights lack {', '.join(missing[:3])} and {max(0, len(missing) - 3)} more")
    return config, weights


def _parameter_names(config: ModelConfig) -> list[str]:
    layers = [f"layers.{number}.{part}.weight" for number in range(config.num_layers) for part in _LAYER_NAMES]
    return [*_NAMES, *layers]


def _split(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Names in parts of at most `limit` bytes, in order; a tensor that is larger is a part of its own."""
    parts: list[list[str]] = [[]]
    size = 0
    for name, length in sizes.items():
        if parts[-1] and size + length > limit:
            parts.append([])
            size = 0
        parts[-1].append(name)
        size += length
    return parts


def _tokenizer_files(folder: str | None, bos: int | None, eos: int | None, length: int) -> Iterator[tuple[str, bytes]]:
    if folder is None or not storage.exists(storage.join(folder, "tokenizer.json")):
        return
    found = {name for name in TOKENIZER_FILES if storage.exists(storage.join(folder, name))}
    for name in sorted(found):
        yield name, storage.read_bytes(storage.join(folder, name))
    if "tokenizer_config.json" not in found:
        added = storage.read_json(storage.join(folder, "tokenizer.json")).get("added_tokens", [])
        content = {token["id"]: token["content"] for token in added}
        special = {"bos_token": content.get(bos), "eos_token": content.get(eos), "pad_token": content.get(eos)}
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length}
        settings |= {key: text for key, text in special.items() if text is not None}
        yield "tokenizer_config.json", _json(settings)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
