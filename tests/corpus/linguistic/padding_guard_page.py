"""Measures documents of which nothing can be read behind their padding: memory there belongs to no one."""

import ctypes
import mmap

import numpy as np
import pyarrow as pa

from corpus.io.buffers import PADDING
from corpus.linguistic.measure import measure

PAGE = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * PAGE)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
nothing = ctypes.c_int(0)  # PROT_NONE
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + PAGE), ctypes.c_size_t(PAGE), nothing) == 0
for text in ("a word. ", "中文，的"):
    for length in range(1, 200):
        document = (text * length).encode()[:length].decode(errors="ignore").encode()
        begin = PAGE - PADDING - len(document)
        memory[begin : begin + len(document)] = document
        buffer = pa.foreign_buffer(address + begin, len(document) + PADDING)
        offsets = pa.py_buffer(np.array([0, len(document)]))
        column = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, buffer])
        assert measure(column)["characters"][0].as_py() == len(document.decode())
