"""Small token shards in the real format."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import xxhash

from corpus import storage
from tokenizer.shard_format import build_index

MakeShards = Callable[..., str]


def write_shards(
    folder: Path,
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
            storage.write_bytes(str(folder / f"{name}.{suffix}"), data)
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
    storage.write_json(str(folder / "manifest.json"), manifest)
    return str(folder)


@pytest.fixture(scope="session")
def text_shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two domains and their held-out parts, of bytes as tokens, with a structure that a model can learn."""
    root = tmp_path_factory.mktemp("shards")
    generator = np.random.default_rng(0)
    words = [generator.integers(1, 256, generator.integers(2, 7)) for _ in range(60)]

    def documents(count: int, offset: int) -> list[np.ndarray]:
        chosen = (generator.integers(offset, offset + 30, generator.integers(5, 40)) for _ in range(count))
        return [np.concatenate([*(words[i] for i in indices), [0]]) for indices in chosen]

    folders = {}
    for name, offset in (("web", 0), ("code", 30)):
        folders[name] = write_shards(root / f"tokens/domain={name}", [documents(60, offset), documents(45, offset)])
        folders[f"held-out {name}"] = write_shards(root / f"validation/domain={name}", [documents(12, offset)])
    return folders
