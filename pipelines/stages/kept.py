"""Counting what is kept: the counts that every stage gives which decides about documents."""

import numpy as np
import numpy.typing as npt

from pipelines.engine.stage import Counts


class KeptCounts(Counts, total=False):
    """Documents and bytes, all and kept."""

    kept: int
    kept_bytes: int


def count_kept(keep: npt.NDArray[np.bool_], lengths: npt.NDArray[np.integer]) -> KeptCounts:
    """The counts of documents of which `keep` says whether each is kept, and `lengths` its bytes."""
    return {
        "documents": len(keep),
        "bytes": int(lengths.sum()),
        "kept": int(keep.sum()),
        "kept_bytes": int(lengths[keep].sum()),
    }
