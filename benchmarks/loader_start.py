"""How long one loader takes to its first batch: one measurement of benchmarks/stream_start.py.

    python benchmarks/loader_start.py LOADER FOLDER TOKENS

Makes the data of the loaders that are not ours (not timed), then opens and reads a batch, twice. Prints a JSON line.
"""

import time

BEGAN = time.perf_counter()  # before the imports that cost time

import json  # noqa: E402
import os  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from arguments import new_parser  # noqa: E402

IMPORTED: list[float] = []  # seconds until the loader was imported
LENGTH, BATCH, DOCUMENT = 4096, 32, 1000
Start = Callable[[bool], object]  # whether to resume in the middle


def imported() -> None:
    """Called when a loader's modules are there."""
    IMPORTED.append(time.perf_counter() - BEGAN)


def headwater(folder: str, tokens: int) -> Start:
    """Sparse shards, made by stream_start.py."""
    from train.data.permutation import feistel
    from train.data.stream import TokenStream

    feistel(0, 1, np.uint64(0))  # numba imports half of itself at the first call
    imported()

    def start(resume: bool) -> object:
        stream = TokenStream({"all": folder}, sequence_length=LENGTH, seed=1)
        if resume:
            stream.load_state_dict(stream.state_dict() | {"samples": tokens // LENGTH // 2})
        return stream.batch(stream.samples, BATCH)

    return start


def megatron(folder: str, tokens: int) -> Start:
    """One sparse .bin, its whole .idx; the first start builds the indexes, the second finds them."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    from peer_megatron import gpt_dataset, write_index

    imported()
    os.makedirs(folder)
    with open(f"{folder}/all.bin", "wb") as file:
        file.truncate(4 * tokens)
    write_index(f"{folder}/all.idx", tokens, DOCUMENT)

    def start(resume: bool) -> object:
        count = (tokens - 1) // LENGTH
        data = gpt_dataset(IndexedDataset(f"{folder}/all", mmap=True), f"{folder}/all", count, LENGTH)
        first = count // 2 if resume else 0
        return [data[number] for number in range(first, first + BATCH)]

    return start


def mosaicml_streaming(folder: str, tokens: int) -> Start:
    """One real MDS shard of 64 MiB under as many names as there would be shards."""
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    imported()
    clean_stale_shared_memory()
    window = np.zeros(LENGTH + 1, np.int32)
    with MDSWriter(out=folder, columns={"tokens": f"ndarray:int32:{LENGTH + 1}"}, size_limit=1 << 26) as writer:
        for _ in range((1 << 26) // (4 * LENGTH + 32)):
            writer.write({"tokens": window})
    index = json.loads(Path(folder, "index.json").read_text())
    (shard,) = index["shards"][:1]
    source, count = f"{folder}/{shard['raw_data']['basename']}", tokens // LENGTH // shard["samples"]
    shards = []
    for number in range(count):
        name = f"copy.{number:07d}.mds"
        os.link(source, f"{folder}/{name}")
        shards.append(shard | {"raw_data": shard["raw_data"] | {"basename": name}})
    Path(folder, "index.json").write_text(json.dumps(index | {"shards": shards}))

    def start(resume: bool) -> object:
        data = StreamingDataset(local=folder, shuffle=True, batch_size=BATCH)
        if resume:
            middle = count * shard["samples"] // 2
            data.load_state_dict(data.state_dict(middle, False))
        samples = iter(data)
        return [next(samples) for _ in range(BATCH)]

    return start


def litdata(folder: str, tokens: int) -> Start:
    """One real chunk of 64 MiB under as many names as there would be chunks."""
    import torch
    from litdata import StreamingDataset, TokensLoader
    from litdata.streaming.writer import BinaryWriter

    imported()
    os.makedirs(folder)
    block = LENGTH + 1
    items = (1 << 24) // block
    writer = BinaryWriter(folder, chunk_size=items * block, item_loader=TokensLoader(block_size=block))
    for number in range(items):
        writer.add_item(number, torch.zeros(block, dtype=torch.int32))
    writer.done()
    writer.merge()
    index = json.loads(Path(folder, "index.json").read_text())
    chunk = index["chunks"][0]
    chunks = []
    for number in range(tokens // (items * block)):
        name = f"chunk-copy-{number}.bin"
        os.link(f"{folder}/{chunk['filename']}", f"{folder}/{name}")
        chunks.append(chunk | {"filename": name})
    Path(folder, "index.json").write_text(json.dumps(index | {"chunks": chunks}))

    def start(resume: bool) -> object:
        data = StreamingDataset(folder, item_loader=TokensLoader(block_size=block), shuffle=True)
        if resume:
            data.load_state_dict(data.state_dict(len(data) // 2, 0, BATCH))
        samples = iter(data)
        return [next(samples) for _ in range(BATCH)]

    return start


def datatrove(folder: str, tokens: int) -> Start:
    """Sparse .ds files of 1 GB; its shuffle is of the files."""
    from datatrove.utils.dataset import DatatroveFolderDataset

    imported()
    os.makedirs(folder)
    for number in range(max(1, tokens // 250_000_000)):
        with open(f"{folder}/{number:05d}.ds", "wb") as file:
            file.truncate(4 * min(tokens, 250_000_000))

    def start(resume: bool) -> object:
        data = DatatroveFolderDataset(folder, seq_len=LENGTH, token_size=4, shuffle=True)
        first = len(data) // 2 if resume else 0
        return [data[number] for number in range(first, first + BATCH)]

    return start


def anonymous_memory() -> float:
    """Megabytes of this process that are not mapped files, and of shared memory (Linux)."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem")) / 1024


def bytes_written(folder: str) -> float:
    """Megabytes that lie on disk in the folder."""
    return sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """Make the data, measure, print."""
    loaders = {
        "headwater": headwater,
        "megatron": megatron,
        "mosaicml-streaming": mosaicml_streaming,
        "litdata": litdata,
        "datatrove": datatrove,
    }
    parser = new_parser(__doc__)
    parser.add_argument("loader", choices=list(loaders))
    parser.add_argument("folder")
    parser.add_argument("tokens", type=int)
    args = parser.parse_args()
    folder = args.folder
    start = loaders[args.loader](folder, args.tokens)
    memory, disk, times = anonymous_memory(), bytes_written(folder), []
    for resume in (False, True):
        began = time.perf_counter()
        kept = start(resume)
        times.append(time.perf_counter() - began)
        grown = anonymous_memory() - memory
        del kept
    found = {"imports": IMPORTED[0], "first": times[0], "resume": times[1], "memory": grown}
    found["disk"] = bytes_written(folder) - disk
    print()
    print(json.dumps(found), flush=True)
    os._exit(0)  # some loaders leave threads


if __name__ == "__main__":
    main()
