"""Small token shards in the real format, for tests of what reads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xxhash

from corpus import storage
from tokenizer.shard_format import build_index


def write_shards(
    folder: Path | str,
    shards: Sequence[Sequence[np.ndarray]],
    *,
    vocab_size: int = 256,
    tokenizer_hash: str = "t",
    text_bytes: int = 0,
) -> str:
    """Write documents (int arrays, their last token the end mark) by shard; return the folder."""
    entries, files = [], {}
    for number, documents in enumerate(shards):
        name = f"{number:05d}"
        lengths = np.array([len(document) for document in documents], np.int32)
        tokens = np.concatenate([*documents, np.zeros(0)]).astype("<i4")
        for suffix, data in (("bin", tokens.tobytes()), ("idx", build_index(lengths))):
            storage.write_bytes(f"{folder}/{name}.{suffix}", data)
            files[f"{name}.{suffix}"] = {"bytes": len(data), "xxh3": xxhash.xxh3_128_hexdigest(data)}
        entries.append(
            {"name": name, "tokens": len(tokens), "documents": len(documents), "bytes": text_bytes or len(tokens)}
        )
    manifest = {
        "format": "headwater-tokens/1",
        "dtype": "int32",
        "tokenizer_hash": tokenizer_hash,
        "vocab_size": vocab_size,
        "model_vocab_size": vocab_size,
        "bos": None,
        "eos": 0,
        "shards": entries,
        "files": files,
    }
    storage.write_json(f"{folder}/manifest.json", manifest)
    return str(folder)
