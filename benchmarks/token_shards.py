"""Token shards for the benchmarks of the stream: random tokens in real shards, or sparse shards of any size."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus.io import storage
from tokenizer.shard_blocks import BLOCK_BYTES
from tokenizer.shard_format import ITEM_BYTES, index_bytes
from tokenizer.shard_writer import TokenShardWriter

VOCABULARY = 100_000
DOCUMENT_TOKENS = 1000
SHARD_TOKENS = 1 << 22


def write_domain(folder: Path, tokens: int, seed: int) -> str:
    """Random tokens in shards of 16 MiB, documents of 1,000 tokens."""
    generator = np.random.default_rng(seed)
    entries: list[dict[str, Any]] = []
    files: dict[str, Any] = {}
    for number, start in enumerate(range(0, tokens, SHARD_TOKENS)):
        documents = min(SHARD_TOKENS, tokens - start) // DOCUMENT_TOKENS
        data = generator.integers(0, VOCABULARY, documents * DOCUMENT_TOKENS, np.int32)
        with TokenShardWriter(str(folder), f"{number:05d}") as writer:
            writer.write(data, np.full(documents, DOCUMENT_TOKENS, np.int32), 4 * data.size)
        entry = writer.entry()
        files |= entry.pop("files")
        entries.append(entry)
    _write_manifest(folder, entries, files)
    return str(folder)


def write_sparse(folder: Path, tokens: int, shard_tokens: int = 250_000_000) -> str:
    """Shards of the right sizes that take no disk: a manifest, and files that are holes."""
    folder.mkdir(parents=True)
    entries, files = [], {}
    for number in range(-(-tokens // shard_tokens)):
        name = f"{number:05d}"
        count = min(shard_tokens, tokens - number * shard_tokens)
        documents = count // DOCUMENT_TOKENS
        for suffix, size in (("bin", ITEM_BYTES * count), ("idx", index_bytes(documents))):
            with open(folder / f"{name}.{suffix}", "wb") as file:
                file.truncate(size)
            files[f"{name}.{suffix}"] = {"bytes": size, "xxh3": f"{number:032x}"}
        entries.append({"name": name, "tokens": count, "documents": documents, "bytes": 4 * count})
    _write_manifest(folder, entries, files)
    return str(folder)


def _write_manifest(folder: Path, entries: list[dict[str, Any]], files: dict[str, Any]) -> None:
    manifest = {
        "format": "headwater-tokens/1",
        "dtype": "int32",
        "tokenizer_hash": "none",
        "vocab_size": VOCABULARY,
        "model_vocab_size": 102_400,
        "block_bytes": BLOCK_BYTES,
        "shards": entries,
        "files": files,
    }
    storage.write_json(str(folder / "manifest.json"), manifest)
