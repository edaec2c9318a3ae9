"""The types of what kernels take and give (docs/decisions/kernel-typing.md)."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

U8: TypeAlias = npt.NDArray[np.uint8]
U16: TypeAlias = npt.NDArray[np.uint16]
U32: TypeAlias = npt.NDArray[np.uint32]
U64: TypeAlias = npt.NDArray[np.uint64]
I8: TypeAlias = npt.NDArray[np.int8]
I32: TypeAlias = npt.NDArray[np.int32]
I64: TypeAlias = npt.NDArray[np.int64]
F32: TypeAlias = npt.NDArray[np.float32]
F64: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Records: TypeAlias = Any  # of a structured dtype, whose fields numba reads as attributes

# A number of fixed width, nearly always uint64. numba's arithmetic of widths is not that of NumPy's stubs, so mypy is
# told nothing about it: kernels write each conversion out, and tests hold them to plain Python.
Word: TypeAlias = Any
