"""Time from nothing to the first batch, and to a batch in the middle of a resumed run, by size of the corpus.

    python benchmarks/stream_start.py [--tokens 20 200 2000] [--peer-tokens 0.2 2 20] [--peers PYTHON]

Sizes are billions of tokens. Ours are sparse shards of 250M tokens with a real manifest. What a loader
reads of the others is real too (headers, index.json, document lengths), and their data files are one real file under
many names, or holes. Each measurement is a process of its own. Its time runs from after the imports until a batch of
32 windows of 4,096 tokens is there. Its memory is what the process grew by (anonymous memory and files it wrote for
the order). The page cache is warm. "resume" opens again and reads the batch at the middle of the epoch. Prints a table.
"""

import sys
import tempfile
from pathlib import Path

from arguments import add_peers, new_parser
from peer_process import PeerMissing, run_peer
from token_shards import write_sparse

LOADERS = ("headwater", "megatron", "mosaicml-streaming", "litdata", "datatrove")


def main() -> None:
    """Measure and print."""
    parser = new_parser(__doc__)
    parser.add_argument("--tokens", type=float, nargs="+", default=[20, 200, 2000], help="sizes of ours (1e9 tokens)")
    parser.add_argument("--peer-tokens", type=float, nargs="*", default=[0.2, 2, 20], help="sizes of the others")
    add_peers(parser, "mosaicml-streaming, litdata, datatrove")
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
                label = f"{loader:<20} {size:>7g}B "
                try:
                    found = run_peer(python, "loader_start.py", loader, folder, int(size * 1e9), seconds=args.limit)
                except PeerMissing as error:
                    print(f"{label} is left out: {error}", flush=True)
                    continue
            figures = (f"{found[key]:.3f}" for key in ("imports", "first", "resume"))
            sizes_mb = (f"{found[key]:.0f}" for key in ("memory", "disk"))
            shown = (f"{text:>{len(head)}}" for head, text in zip(heads, [*figures, *sizes_mb]))
            print(f"{label} " + "  ".join(shown), flush=True)


if __name__ == "__main__":
    main()
