"""Small token shards in the real format, for tests of what reads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corpus.io import storage
from tokenizer.shard_blocks import BLOCK_BYTES
from tokenizer.shard_writer import TokenShardWriter


def write_shards(
    folder: Path | str,
    shards: Sequence[Sequence[np.ndarray]],
    *,
    vocab_size: int = 256,
    tokenizer_hash: str = "t",
    text_bytes: int = 0,
    block_bytes: int = BLOCK_BYTES,
) -> str:
    """Write documents (int arrays, their last token the end mark) by shard; return the folder."""
    entries, files = [], {}
    for number, documents in enumerate(shards):
        lengths = np.array([len(document) for document in documents], np.int32)
        tokens = np.concatenate([*documents, np.zeros(0)]).astype("<i4")
        with TokenShardWriter(str(folder), f"{number:05d}", block_bytes) as writer:
            writer.write(tokens, lengths, text_bytes or len(tokens))
        entry = writer.entry()
        files |= entry.pop("files")
        entries.append(entry)
    manifest = {
        "format": "headwater-tokens/1",
        "dtype": "int32",
        "tokenizer_hash": tokenizer_hash,
        "vocab_size": vocab_size,
        "model_vocab_size": vocab_size,
        "bos": None,
        "eos": 0,
        "block_bytes": block_bytes,
        "shards": entries,
        "files": files,
    }
    storage.write_json(f"{folder}/manifest.json", manifest)
    return str(folder)
