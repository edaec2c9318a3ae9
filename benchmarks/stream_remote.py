"""How fast the token stream reads shards in an object store: the first time, and again from the host's cache.

    weed server -s3 ...; export AWS_ENDPOINT_URL=... AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...
    python benchmarks/stream_remote.py --bucket s3://bucket/prefix [--tokens 64] [--sequence-length 4096] [--batch 32]

Writes shards there, then reads an epoch with an empty cache (every block is fetched, checked and kept), an epoch with
the cache full, and one from the local disk. As the limit: the same bytes by ranged requests of 1 MiB with eight
threads and nothing else. Prints one JSON object; rates are of tokens per second.
"""

import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.fs as pafs
from arguments import new_parser
from token_shards import write_domain

from corpus.io import storage
from tokenizer.shard_blocks import BLOCK_BYTES
from train.data.prefetch import THREADS
from train.data.stream import TokenStream


def epoch(stream: TokenStream, batch: int) -> float:
    """Tokens a second of reading an epoch from the stream's beginning."""
    samples = stream.samples_per_epoch(0) // batch * batch
    start = time.perf_counter()
    for first in range(0, samples, batch):
        stream.batch(first, batch)
    rate = samples * stream.sequence_length / (time.perf_counter() - start)
    stream.close()
    return round(rate)


def ranged_reads(paths: list[str]) -> float:
    """Tokens a second of reading whole files by ranged requests."""
    files = [storage.open_input(path) for path in paths]
    sizes = [storage.size(path) for path in paths]
    blocks = [(file, at) for file, size in zip(files, sizes) for at in range(0, size, BLOCK_BYTES)]
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        total = sum(pool.map(lambda block: len(block[0].read_at(BLOCK_BYTES, block[1])), blocks))  # type: ignore[attr-defined]
    return round(total / 4 / (time.perf_counter() - start))


def main() -> None:
    """Measure and print."""
    parser = new_parser(__doc__)
    parser.add_argument("--bucket", required=True, metavar="S3", help="a prefix that may be written")
    parser.add_argument("--tokens", type=float, default=64, help="millions (default: 64)")
    parser.add_argument("--sequence-length", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        local = write_domain(Path(name) / "local", int(args.tokens * 1e6), 1)
        fs, inner = storage.filesystem(args.bucket)
        pafs.copy_files(local, inner, source_filesystem=pafs.LocalFileSystem(), destination_filesystem=fs)
        paths = [info.path for info in storage.list_files(args.bucket, ".bin")]
        plan = {"sequence_length": args.sequence_length, "seed": 1}
        TokenStream({"all": local}, **plan).batch(0, 1)  # loads what is compiled
        found = {"ranged requests alone": ranged_reads(paths)}
        start = time.perf_counter()
        stream = TokenStream({"all": args.bucket}, **plan, cache_folder=f"{name}/cache")
        stream.batch(0, args.batch)
        found["seconds to the first batch"] = round(time.perf_counter() - start, 3)
        stream.close()
        for label, folder, cache in (
            ("empty cache", args.bucket, f"{name}/other"),
            ("full cache, opened anew", args.bucket, f"{name}/other"),
            ("local disk", local, f"{name}/none"),
        ):
            found[label] = epoch(TokenStream({"all": folder}, **plan, cache_folder=cache), args.batch)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
