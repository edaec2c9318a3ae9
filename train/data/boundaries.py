"""What attention needs to stay within documents, from the document number of each token (`TokenStream.documents`)."""

import numpy as np
import numpy.typing as npt


def positions(documents: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The position of each token in its document, from 0: int32, shaped as `documents` [count, sequence_length]."""
    columns = np.arange(documents.shape[1], dtype=np.int32)
    begins = np.diff(documents, axis=1, prepend=-1) != 0
    result: npt.NDArray[np.int32] = columns - np.maximum.accumulate(np.where(begins, columns, 0), axis=1)
    return result


def cumulative_lengths(documents: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Where each document of a batch begins when its samples are laid end to end, and the end: int32[documents + 1].

    This is `cu_seqlens` of the attention kernels for sequences of different lengths.
    """
    begins = np.diff(documents, axis=1, prepend=-1) != 0
    return np.append(np.flatnonzero(begins), documents.size).astype(np.int32)
