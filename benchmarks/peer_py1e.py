"""The order of samples by MosaicML's py1e; run by benchmarks/shuffle_quality.py.

    PEERS_PYTHON benchmarks/peer_py1e.py SHARDS OUT.npy

Of SHARDS shards of 4,096 samples, over 64 canonical nodes. Prints a JSON line: how many samples there are.
"""

import json

import numpy as np
from arguments import new_parser


def main() -> None:
    """Shuffle and write."""
    parser = new_parser(__doc__)
    parser.add_argument("shards", type=int)
    parser.add_argument("out", metavar="OUT.npy")
    args = parser.parse_args()
    from streaming.base.shuffle import get_shuffle

    order = get_shuffle("py1e", np.array([4096] * args.shards), 64, 1, 0, 1 << 18)
    np.save(args.out, order.reshape(64, -1).T.ravel())  # a batch takes from all canonical nodes
    print(json.dumps(order.size))


if __name__ == "__main__":
    main()
