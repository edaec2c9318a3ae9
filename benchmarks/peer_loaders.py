"""One other loader over the tokens of `benchmarks/stream.py`, which runs this in the loader's own environment.

    PEERS_PYTHON benchmarks/peer_loaders.py NAME TOKENS.bin SEQUENCE_LENGTH BATCH ROUNDS FOLDER

The tokens are written in the loader's format first (not timed), then read in turns with the plain shuffled copy: bare
iteration in one process, shuffled, windows of sequence length + 1. Prints a JSON line.
"""

import json
import os
from collections.abc import Callable

import numpy as np
from arguments import new_parser
from timing import in_turns, medians, per_wall_second

DOCUMENT = 1000


def mosaicml_streaming(tokens: np.ndarray, length: int, batch: int, folder: str) -> Callable[[], int]:
    """MDS shards of 64 MiB of windows; `StreamingDataset`, shuffled by its default py1e."""
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    columns = {"tokens": f"ndarray:int32:{length + 1}"}
    with MDSWriter(out=folder, columns=columns, size_limit=1 << 26) as writer:
        for start in range(0, len(tokens) - length, length):
            writer.write({"tokens": np.ascontiguousarray(tokens[start : start + length + 1])})
    data = StreamingDataset(local=folder, shuffle=True, batch_size=batch)

    def read() -> int:
        return sum(sample["tokens"].size - 1 for sample in data)

    return read


def litdata(tokens: np.ndarray, length: int, batch: int, folder: str) -> Callable[[], int]:
    """Chunks of 64 MiB; `StreamingDataset` with `TokensLoader`, shuffled."""
    import torch
    from litdata import StreamingDataset, TokensLoader
    from litdata.streaming.writer import BinaryWriter

    os.makedirs(folder)
    block = length + 1
    writer = BinaryWriter(folder, chunk_size=(1 << 24) // block * block, item_loader=TokensLoader(block_size=block))
    for number, start in enumerate(range(0, len(tokens) // block * block, block)):
        writer.add_item(number, torch.from_numpy(tokens[start : start + block].copy()))
    writer.done()
    writer.merge()
    data = StreamingDataset(folder, item_loader=TokensLoader(block_size=block), shuffle=True, drop_last=False)

    def read() -> int:
        return sum(len(sample) - 1 for sample in data)

    return read


def datatrove(tokens: np.ndarray, length: int, batch: int, folder: str) -> Callable[[], int]:
    """`.ds` files of 64 MiB; `DatatroveFolderDataset`, whose shuffle is of the files."""
    from datatrove.utils.dataset import DatatroveFolderDataset

    os.makedirs(folder)
    for number, start in enumerate(range(0, len(tokens), 1 << 24)):
        tokens[start : start + (1 << 24)].tofile(f"{folder}/{number:05d}.ds")
    data = DatatroveFolderDataset(folder, seq_len=length, token_size=4, shuffle=True)

    def read() -> int:
        return sum(len(data[number]["input_ids"]) - 1 for number in range(len(data)))

    return read


def megatron(tokens: np.ndarray, length: int, batch: int, folder: str) -> Callable[[], int]:
    """One .bin and .idx; `GPTDataset` with its document, sample and shuffle indexes."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    from peer_megatron import gpt_dataset, write_index

    os.makedirs(folder)
    tokens.tofile(f"{folder}/all.bin")
    write_index(f"{folder}/all.idx", len(tokens), DOCUMENT)
    count = (len(tokens) - 1) // length
    data = gpt_dataset(IndexedDataset(f"{folder}/all", mmap=True), f"{folder}/all", count, length)

    def read() -> int:
        return sum(len(data[number]["tokens"]) for number in range(count))

    return read


def plain_copy(path: str, length: int, batch: int) -> Callable[[], int]:
    """The plain shuffled copy out of a memory map, a batch at a time."""
    plain = np.memmap(path, np.int32, "r")
    windows = (len(plain) - 1) // length
    order = np.random.default_rng(1).permutation(windows)

    def read() -> int:
        for first in range(0, windows // batch * batch, batch):
            out = np.empty((batch, length + 1), np.int32)
            for row, window in enumerate(order[first : first + batch]):
                out[row] = plain[window * length : (window + 1) * length + 1]
        return windows // batch * batch * length

    return read


LOADERS = {
    "mosaicml-streaming": mosaicml_streaming,
    "litdata": litdata,
    "datatrove": datatrove,
    "megatron": megatron,
}


def main() -> None:
    """Write, measure in turns, print."""
    parser = new_parser(__doc__)
    parser.add_argument("name", choices=list(LOADERS))
    parser.add_argument("tokens", metavar="TOKENS.bin")
    for number in ("sequence_length", "batch", "rounds"):
        parser.add_argument(number, type=int)
    parser.add_argument("folder", help="that the loader's own files are written to")
    args = parser.parse_args()
    tokens = np.fromfile(args.tokens, np.int32)
    readers = {
        "peer": LOADERS[args.name](tokens, args.sequence_length, args.batch, args.folder),
        "plain": plain_copy(args.tokens, args.sequence_length, args.batch),
    }
    rates = medians(in_turns({name: per_wall_second(read) for name, read in readers.items()}, args.rounds))
    found = {"tokens_per_second": round(rates["peer"]), "of_the_plain_copy": round(rates["peer"] / rates["plain"], 4)}
    print()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
