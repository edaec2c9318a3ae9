"""A text file, packed or not, as blocks of whole lines.

What can be read of a damaged file is read. A cut or corrupt file gives the lines that precede the damage, and a line
that is too long is passed over. Both are told with their offset.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

from corpus.io import storage
from corpus.io.decompress import ERRORS, Decoder, Inflate, unzstd

MAX_LINE = 64 << 20  # bytes of a line
PACKED: Mapping[str, Callable[[], Decoder]] = {"gz": Inflate, "zst": unzstd}
_BLOCK = 32 << 20  # bytes of a block, about
_PACKED_PIECE = 1 << 16  # packed bytes read at a time


class BadRow(NamedTuple):
    """What could not be read as a row: `bad-line`, `no-text`, `too-large`, `truncated`, `corrupt`."""

    offset: int  # bytes from the start of the unpacked file; the row's number in Parquet
    reason: str
    detail: str

    def describe(self, path: str) -> str:
        """One line for a person: the file, the offset, what is wrong."""
        return f"{path}, offset {self.offset}: {self.reason}: {self.detail}"


class Unpacked:
    """A file as plain bytes, whether its name ends in `.gz`, `.zst` or neither; at the first error of a packed one it
    ends, and `problem` says why."""

    problem: tuple[str, str] | None = None  # reason and detail

    def __init__(self, raw: BinaryIO, path: str) -> None:
        self._raw = raw
        self._new = PACKED.get(path.lower().rpartition(".")[2])
        self._decoder: Decoder | None = None

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer at the end."""
        if self._new is None:
            return self._raw.read(size)
        parts: list[bytes] = []
        while size > 0 and (part := self._unpack(self._new, size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _unpack(self, new: Callable[[], Decoder], size: int) -> bytes:
        while self.problem is None:
            data, ended = b"", False
            if self._decoder is None or self._decoder.eof:
                data = (self._decoder.unused_data if self._decoder else b"") or self._raw.read(_PACKED_PIECE)
                if not data:
                    return b""
                self._decoder = new()
            elif self._decoder.needs_input:
                data = self._raw.read(_PACKED_PIECE)
                ended = not data
            try:
                part = self._decoder.decompress(data, size)
            except ERRORS as error:
                self.problem = ("corrupt", str(error))
                return b""
            if part:
                return part
            if ended and not self._decoder.eof:  # a decoder that asked for nothing may give nothing, and asks then
                self.problem = ("truncated", "the compressed file ends too early")
        return b""


def line_blocks(path: str) -> Iterator[tuple[int, bytes] | BadRow]:
    """`(offset, lines)` of each block, about 32 MiB of whole lines, and what is no line; raises OSError."""
    with storage.open_input(path) as raw:
        source = Unpacked(raw, path)
        offset, rest = 0, b""
        while piece := source.read(_BLOCK):
            block = rest + piece
            if end := block.rfind(b"\n") + 1:
                yield offset, block[:end]
            elif len(block) > MAX_LINE:
                yield too_large(offset)
                while (end := block.find(b"\n") + 1) == 0 and (piece := source.read(_BLOCK)):
                    offset, block = offset + len(block), piece
                end = end or len(block)
            offset, rest = offset + end, block[end:]
        if source.problem:
            yield BadRow(offset, *source.problem)
        elif rest:
            yield offset, rest


def too_large(offset: int) -> BadRow:
    """A line of more than MAX_LINE bytes."""
    return BadRow(offset, "too-large", f"a line of more than {MAX_LINE} bytes")
