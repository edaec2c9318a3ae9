"""How well the stream shuffles, beside a full random permutation and beside MosaicML's py1e.

    python benchmarks/shuffle_quality.py [--tokens 0.25 4] [--batch 2304] [--peers PYTHON]

Over an epoch of N samples of 4,096 tokens (`--tokens`, billions, in sparse shards of 250M), for each
order:

- samples, distance: of two samples that are neighbours in the shards, the mean number of samples between them in the
order. It is a share of that of a random permutation, N / 3.
- samples, in one batch: how many such pairs fall into one batch, beside random (1 is as random, more is clumped);
- documents, distance and in one batch: the same for two documents (of 1,000 tokens) that are neighbours in the corpus,
as two pages of a site are. From the raw corpus to the order of training. Ours lie in the shards by a hash of their ids
(`tokenizer.order`). The other orders are of shards that hold documents as they come.
- shards that a batch draws from, beside random.
- start: correlation of place in the shards and place in the order (0: none).

The block-wise order keeps samples of a window of 1,024 blocks together, so the distance of samples is short of random
where the epoch is many windows. That tells of what one long document spans; documents were shuffled before. Then the
mix of domains: the largest deviation from the plan (0.7, 0.2, 0.1) in windows of the order, in samples, beside domains
drawn at random. Prints two tables.
"""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from arguments import add_peers, new_parser
from peer_process import left_out_if_missing, run_peer
from token_shards import DOCUMENT_TOKENS, write_sparse

from tokenizer.order import document_hashes
from train.data.stream import TokenStream

LENGTH, SHARD_TOKENS = 4096, 250_000_000
SHARES = (0.7, 0.2, 0.1)


def our_order(folder: str) -> np.ndarray:
    """The place in the corpus of each sample of the first epoch."""
    stream = TokenStream({"all": folder}, sequence_length=LENGTH, seed=1)
    size = stream.samples_per_epoch(0)
    (_, _, _, _, places), *_ = stream._find(np.arange(size))
    return places


def describe(name: str, order: np.ndarray, batch: int, shard_samples: int, by_hash: bool = False) -> None:
    """Print the statistics of an order beside those of a random permutation of the same size. `by_hash`: documents lie
    in the shards by the hash of their ids, not as they come."""
    size = len(order)
    first = np.arange(size * LENGTH // DOCUMENT_TOKENS)  # of each document in the corpus: its place in the shards
    if by_hash:
        first[np.argsort(document_hashes(pc.cast(pa.array(first), pa.string()), 1))] = first.copy()
    first = first * DOCUMENT_TOKENS // LENGTH  # the sample that it begins in

    def figures(of: np.ndarray) -> np.ndarray:
        place = np.empty(size, np.int64)
        place[of] = np.arange(size)
        batches = of[: size // batch * batch].reshape(-1, batch) // shard_samples
        shards = np.mean([len(np.unique(one)) for one in batches[:: max(1, len(batches) // 50)]])
        return np.array([*apart(place), *apart(place[first]), shards, np.corrcoef(place, np.arange(size))[0, 1]])

    def apart(places: np.ndarray) -> tuple[float, float]:
        return np.abs(np.diff(places)).mean() / (size / 3), np.mean(places[1:] // batch == places[:-1] // batch)

    random, found = figures(np.random.default_rng(7).permutation(size)), figures(order)
    print(
        f"{name:<24} {size:>9,} {found[0] / random[0]:>9.3f} {found[1] / random[1]:>13.2f} {found[2]:>10.3f} "
        f"{found[3] / random[1]:>13.2f} {found[4]:>7.1f} of {random[4]:<7.1f} {found[5]:>8.4f}"
    )


def domain_mix() -> None:
    """Print the largest deviation from the plan in any window of the order."""
    with tempfile.TemporaryDirectory() as name:
        folders = {domain: write_sparse(Path(name) / domain, 10_000_000, 10_000_000) for domain in "abc"}
        stream = TokenStream(folders, sequence_length=LENGTH, weights=dict(zip("abc", SHARES)), seed=1)
        ours = stream._interleave.locate(np.arange(1 << 18))[0]
    drawn = np.random.default_rng(1).choice(3, len(ours), p=SHARES)
    print(f"\n{'window':>8} {'stream':>8} {'drawn at random':>16}   largest deviation from the plan, samples")
    for window in (32, 256, 2304, 23040):
        worst = []
        for order in (ours, drawn):
            sums = np.cumsum(order[:, None] == np.arange(3), axis=0)
            worst.append(np.abs(sums[window:] - sums[:-window] - window * np.array(SHARES)).max())
        print(f"{window:>8} {worst[0]:>8.2f} {worst[1]:>16.2f}")


def main() -> None:
    """Measure and print."""
    parser = new_parser(__doc__)
    parser.add_argument("--tokens", type=float, nargs="+", default=[0.25, 4], help="of the epoch, in 1e9 (0.25 and 4)")
    parser.add_argument("--batch", type=int, default=2304, help="samples of a global batch (default: the paper's 2304)")
    add_peers(parser, "mosaicml-streaming")
    args = parser.parse_args()
    print(f"{'':<24} {'':>9} {'samples:':>9} {'':>13} {'documents:':>10}")
    columns = f"{'distance':>9} {'in one batch':>13} {'distance':>10} {'in one batch':>13} {'shards per batch':>18}"
    print(f"{'order':<24} {'samples':>9} {columns} {'start':>8}")
    for tokens in args.tokens:
        with tempfile.TemporaryDirectory() as name:
            order = our_order(write_sparse(Path(name) / "all", int(tokens * 1e9), SHARD_TOKENS))
            describe("stream", order, args.batch, SHARD_TOKENS // LENGTH, by_hash=True)
            if args.peers:
                with left_out_if_missing("MosaicML"):
                    run_peer(args.peers, "peer_py1e.py", len(order) // 4096, f"{name}/py1e.npy")
                    describe("MosaicML py1e, 64 nodes", np.load(f"{name}/py1e.npy"), args.batch, SHARD_TOKENS // LENGTH)
        describe("the corpus as it lies", np.arange(len(order)), args.batch, SHARD_TOKENS // LENGTH)
    domain_mix()


if __name__ == "__main__":
    main()
