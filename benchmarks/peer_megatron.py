"""Megatron's GPTDataset over a .bin and .idx, made without a launcher or a tokenizer of its own."""

import struct
from typing import Any

import numpy as np


class Tokenizer:
    """What GPTDatasetConfig asks of a tokenizer."""

    vocab_size = 100_000
    eod = 0
    pad = 0
    unique_identifiers: dict[str, str] = {}  # noqa: RUF012


def write_index(path: str, tokens: int, document: int) -> None:
    """An MMIDIDX of documents of equal length over `tokens` int32 tokens."""
    lengths = np.full(-(-tokens // document), document, np.int32)
    lengths[-1] = tokens - document * (len(lengths) - 1)
    with open(path, "wb") as file:
        file.write(b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 4, len(lengths), len(lengths) + 1))
        file.write(lengths.tobytes())
        file.write((np.arange(len(lengths), dtype=np.int64) * document * 4).tobytes())
        file.write(np.arange(len(lengths) + 1, dtype=np.int64).tobytes())


def gpt_dataset(indexed: Any, path: str, samples: int, length: int) -> Any:
    """A GPTDataset of `samples` samples of `length` tokens, its indexes built and kept beside the data."""
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.utils import Split

    config = GPTDatasetConfig(
        random_seed=1,
        sequence_length=length,
        blend=([path], None),
        split="1,0,0",
        tokenizer=Tokenizer(),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
        mid_level_dataset_surplus=0.0,
    )
    documents = np.arange(len(indexed.document_indices) - 1, dtype=np.int32)
    return GPTDataset(indexed, path, documents, samples, Split.train, config)
