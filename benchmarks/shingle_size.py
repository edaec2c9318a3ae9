"""How long a shingle should be, by how well it tells revisions of one document from documents that are merely alike.

    HEADWATER_DATA=... python benchmarks/shingle_size.py [--documents N]

Of the ground truth's documents all pairs are compared, by sketches of 512 hashes (an error of 0.02 at most). The
documents of one *family* are one file at several dates and in several releases. For each size, a threshold is put
where it finds 90% of the pairs of one family. The pairs of different families above it are counted, as a share of all
that it finds. The same at the fixed threshold of 0.8, with the share of the family's pairs it finds. The last column
is the share of the documents with fewer words than a shingle, which only match whole.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from arguments import add_documents, data_folder, new_parser
from documents import json_rows
from numba import njit

from corpus.dedup.minhash import Scheme, sign
from corpus.dedup.verify import similarity
from corpus.kernels.words import words_of

SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 13)
FOUND = 0.9


@njit(nogil=True)
def _all_pairs(values, offsets, shingles, family, same, other):  # type: ignore[no-untyped-def]
    """Histograms by similarity in thousandths of the pairs of one family and of different ones."""
    for a in range(len(shingles)):
        for b in range(a + 1, len(shingles)):
            place = int(1000 * similarity(values, offsets, shingles, a, b))
            if family[a] == family[b]:
                same[place] += 1
            else:
                other[place] += 1


def from_above(histogram: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many lie at or above each place."""
    return histogram[::-1].cumsum()[::-1]


def main() -> None:
    """Print a table per language."""
    parser = new_parser(__doc__)
    add_documents(parser, "documents of each language")
    arguments = parser.parse_args()
    for language in ("en", "zh"):
        rows = json_rows(data_folder() / f"dups/revisions-{language}.docs.jsonl.zst", arguments.documents)
        texts = pa.array([row["text"] for row in rows], pa.large_string())
        _, family = np.unique([row["family"] for row in rows], return_inverse=True)
        lengths = np.array([len(words_of(row["text"])) for row in rows])
        print(f"\n| {language}: words | finds 90% at | of others among them | 0.8 finds | of others | too short |")
        print("|--:|--:|--:|--:|--:|--:|")
        for size in SIZES:
            sketches = sign(texts, Scheme(shingle=size, sketch_size=512))
            same, other = np.zeros(1001, np.int64), np.zeros(1001, np.int64)
            _all_pairs(*sketches[1:], family, same, other)
            same, other = from_above(same), from_above(other)
            place = int(np.flatnonzero(same >= FOUND * same[0])[-1])
            shares = [other[at] / (other[at] + same[at]) for at in (place, 800)]
            print(
                f"| {size} | {place / 1000:.2f} | {shares[0]:.1%} | {same[800] / same[0]:.1%} | {shares[1]:.1%} | "
                f"{(lengths < size).mean():.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
