"""Accuracy of deduplication on the ground truth, beside datatrove's on the same documents.

usage: HEADWATER_DATA=... python benchmarks/dedup_accuracy.py [--peers PYTHON] [--language en] [--curve]
`--peers` names the Python of an environment with datatrove (see docs/benchmarks.md), which takes minutes.
`--curve` adds the measured probability of becoming candidates for several bands x rows.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from arguments import add_documents, add_peers, new_parser
from near_duplicate_truth import THRESHOLD, Truth, judge, load
from peer_process import left_out_if_missing, run_peer

from corpus.dedup.in_memory import deduplicate_signed, sign_table
from corpus.dedup.minhash import Scheme, sign
from corpus.dedup.scurve import match_probability


def ours(truth: Truth, scheme: Scheme) -> dict[str, Any]:
    """Judge our choice with a policy of length and id."""
    table = pa.table({"id": [f"{i:08}" for i in range(len(truth.texts))], "text": truth.texts})
    signed = sign_table(table, scheme)
    _, election, _ = deduplicate_signed([signed], scheme, THRESHOLD, ("length", "id"))
    kept_hashes = len(signed.signatures.values) / len(truth.texts)
    return judge(truth, election.level == 0) | {"sketch bytes/doc": round(4 * kept_hashes)}


def datatrove(truth: Truth, python: str) -> dict[str, Any]:
    """Judge datatrove's choice."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "documents.jsonl")
        lines = (json.dumps({"id": str(i), "text": text}) for i, text in enumerate(truth.texts))
        source.write_text("\n".join(lines) + "\n")
        result = run_peer(python, "peer_datatrove.py", source, truth.language)
    kept = np.zeros(len(truth.texts), bool)
    kept[[int(i) for i in result["kept"]]] = True
    return judge(truth, kept) | {"MB/s end to end": round(truth.megabytes / sum(result["seconds"].values()), 2)}


def curve(truth: Truth, bands: int, rows: int) -> str:
    """Measured and theoretical probability of becoming candidates, by similarity."""
    keys = sign(pa.array(truth.texts, pa.large_string()), Scheme(bands=bands, rows=rows)).bands
    met = (keys[truth.a] == keys[truth.b]).any(axis=1)
    cells = []
    for low in np.arange(0.3, 1.0, 0.1):
        inside = (truth.jaccard >= low) & (truth.jaccard < low + 0.1)
        expected = np.mean([match_probability(j, bands, rows) for j in truth.jaccard[inside]])
        cells.append(f"{low:.1f}: {met[inside].mean():.4f} ({expected:.4f})")
    return f"{bands}x{rows}  " + "  ".join(cells)


def main() -> None:
    """Print a line per language and system."""
    parser = new_parser(__doc__)
    add_peers(parser, "datatrove")
    add_documents(parser, "documents of each language")
    parser.add_argument("--language", choices=["en", "zh"])
    parser.add_argument("--curve", action="store_true")
    arguments = parser.parse_args()
    for language in [arguments.language] if arguments.language else ["en", "zh"]:
        truth = load(language, arguments.documents)
        print(f"{language}: {len(truth.texts)} documents, {truth.megabytes:.1f} MB")
        for size in (0, 4096, 1024, 256):
            print(f"  headwater, sketch_size {size}: {ours(truth, Scheme(sketch_size=size))}")
        if arguments.peers:
            with left_out_if_missing("datatrove"):
                print(f"  datatrove, defaults: {datatrove(truth, arguments.peers)}")
        if arguments.curve:
            for bands, rows in ((20, 5), (24, 6), (14, 8), (15, 4)):
                print("  measured (expected)", curve(truth, bands, rows))


if __name__ == "__main__":
    main()
