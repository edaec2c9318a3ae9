"""The bytes of a token shard: a `.bin` of tokens and an `.idx` that says where each document is in it.

The pair is Megatron's indexed dataset (`megatron/core/datasets/indexed_dataset.py`), so its reader opens a shard as it
is. `.bin` is little-endian int32, document after document, nothing between them. `.idx` is, all little-endian:

    9 bytes  magic "MMIDIDX\\0\\0"      8 bytes  version (1)        1 byte   dtype code (4 = int32)
    8 bytes  sequences S              8 bytes  S + 1 (Megatron counts the ends of documents, with a leading 0)
    S int32  tokens of each sequence
    S int64  byte offset of each sequence in the .bin
    S + 1 int64  0, 1, ..., S: the first sequence of each document; one sequence is one document here
"""

import struct

import numpy as np
import numpy.typing as npt

from corpus.errors import CorruptShard

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
DTYPE = "int32"
DTYPE_CODE = 4  # int32 in Megatron's DType
ITEM_BYTES = 4  # bytes of one token
HEADER_BYTES = 34  # magic 9 + version 8 + dtype 1 + sequences 8 + document bounds 8
_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float64", 7: "float32", 8: "uint16"}


def index_bytes(documents: int) -> int:
    """The size in bytes of the `.idx` of a shard of so many documents."""
    return HEADER_BYTES + 4 * documents + 8 * documents + 8 * (documents + 1)


def build_index(lengths: npt.NDArray[np.int32]) -> bytes:
    """The `.idx` of documents of these lengths in tokens (int32[documents])."""
    count = len(lengths)
    starts = np.zeros(count, np.int64)
    np.cumsum(lengths[:-1], dtype=np.int64, out=starts[1:])
    return b"".join(
        (
            MAGIC,
            struct.pack("<QBQQ", VERSION, DTYPE_CODE, count, count + 1),
            lengths.astype("<i4").tobytes(),
            (starts * ITEM_BYTES).astype("<i8").tobytes(),
            np.arange(count + 1, dtype="<i8").tobytes(),
        )
    )


def parse_header(header: bytes, path: str) -> int:
    """The number of documents that an `.idx` header announces.

    `header` is the first HEADER_BYTES of the file; raises CorruptShard, naming `path`, where it is not the header of
    int32 shards with one sequence per document.
    """
    if len(header) < HEADER_BYTES or header[:9] != MAGIC:
        raise CorruptShard(path, "it does not begin as an MMIDIDX index")
    version, code, sequences, bounds = struct.unpack("<QBQQ", header[9:HEADER_BYTES])
    if version != VERSION:
        raise CorruptShard(path, f"index version {version}, only {VERSION} is known")
    if code != DTYPE_CODE:
        raise CorruptShard(path, f"its tokens are {_DTYPES.get(code, f'of unknown type {code}')}, not {DTYPE}")
    if bounds != sequences + 1:
        raise CorruptShard(
            path, f"{sequences} sequences but {bounds} document bounds; one sequence per document is expected"
        )
    return int(sequences)


def parse_index(data: bytes | memoryview, path: str) -> npt.NDArray[np.int64]:
    """The first token of each document and the end of the last (int64[documents + 1]) from the bytes of an `.idx`.

    Raises CorruptShard where the index is cut short or contradicts itself.
    """
    count = parse_header(bytes(data[:HEADER_BYTES]), path)
    if len(data) != index_bytes(count):
        raise CorruptShard(path, f"{len(data):,} bytes, but {count:,} documents need {index_bytes(count):,}")
    lengths = np.frombuffer(data, "<i4", count, HEADER_BYTES)
    starts = np.frombuffer(data, "<i8", count, HEADER_BYTES + 4 * count)
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if count and (lengths.min() < 0 or not np.array_equal(starts, offsets[:-1] * ITEM_BYTES)):
        raise CorruptShard(path, "its lengths and offsets contradict each other")
    return offsets
