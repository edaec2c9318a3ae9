"""Time from nothing to the first batch, and to a batch in the middle of a resumed run, by size of the corpus.

    python benchmarks/stream_start.py [--tokens 20 200 2000] [--peer-tokens 0.2 2 20] [--peers PYTHON]

Sizes are thousands of millions of tokens. Ours are sparse shards of 250M tokens with a real manifest; what a loader
reads of the others is real too (headers, index.json, document lengths), and their data files are one real file under
many names, or holes. Each measurement is a process of its own; its time runs from after the imports until a batch of
32 windows of 4,096 tokens is there, and its memory is what the process grew by (anonymous memory and files it wrote
for the order). The page cache is warm. "resume" opens again and reads the batch at the middle of the epoch. Prints a
table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from token_data import write_sparse

LOADERS = ("headwater", "megatron", "mosaicml-streaming", "litdata", "datatrove")


def measure(loader: str, python: str, folder: str, tokens: float, seconds: int) -> dict[str, float | str]:
    """What benchmarks/start_one.py says of one loader in a process of its own."""
    script = str(Path(__file__).parent / "start_one.py")
    command = [python, "-W", "ignore", script, loader, folder, str(int(tokens * 1e9))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"failed": f"not ready after {seconds} s"}
    if done.returncode:
        return {"failed": done.stderr[-300:].strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=float, nargs="+", default=[20, 200, 2000], help="sizes of ours (1e9 tokens)")
    parser.add_argument("--peer-tokens", type=float, nargs="*", default=[0.2, 2, 20], help="sizes of the others")
    parser.add_argument("--peers", metavar="PYTHON", help="the interpreter of an environment with the other loaders")
    parser.add_argument("--limit", type=int, default=900, metavar="SECONDS", help="given to each measurement")
    args = parser.parse_args()
    heads = ("imports s", "first batch s", "resume s", "memory MB", "order on disk MB")
    print(f"{'loader':<20} {'tokens':>8}  " + "  ".join(heads))
    for loader in LOADERS:
        if loader != "headwater" and not (args.peers or loader == "megatron"):
            continue
        sizes = sorted({*args.tokens, *args.peer_tokens}) if loader == "headwater" else args.peer_tokens
        for size in sizes:
            with tempfile.TemporaryDirectory() as name:
                folder = f"{name}/{loader}"
                if loader == "headwater":
                    write_sparse(Path(folder), int(size * 1e9))
                python = sys.executable if loader in ("headwater", "megatron") else args.peers
                found = measure(loader, python, folder, size, args.limit)
            label = f"{loader:<20} {size:>7g}B "
            if "failed" in found:
                print(f"{label} {found['failed']}", flush=True)
                continue
            figures = (f"{found[key]:.3f}" for key in ("imports", "first", "resume"))
            sizes_mb = (f"{found[key]:.0f}" for key in ("memory", "disk"))
            shown = (f"{text:>{len(head)}}" for head, text in zip(heads, [*figures, *sizes_mb]))
            print(f"{label} " + "  ".join(shown), flush=True)


if __name__ == "__main__":
    main()
