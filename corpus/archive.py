"""The containers of archive files, unpacked piece by piece, whatever state they are in.

A WARC file is plain, or a row of gzip members (one a record, mostly), LZ4 frames or zstd frames. A `Member` gives its
unpacked bytes in bounded pieces and says at its end whether it was whole, cut or corrupt; what follows a broken gzip
member is found again by the next member's first bytes. Nothing here holds more than a piece in memory, so a member
that unpacks to gigabytes costs time, up to a limit, and no memory.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from fastwarc.stream_io import Lz4Reader, ZstdReader

PIECE = 1 << 16  # bytes read, and at most unpacked, at a time
_GZIP = b"\x1f\x8b\x08"
_FRAMES = {b"\x04\x22\x4d\x18": Lz4Reader, b"\x28\xb5\x2f\xfd": ZstdReader, b"\x50\x2a\x4d\x18": ZstdReader}
_PROBE = 1 << 12  # bytes that are unpacked to see whether a member begins with a record
_SMALLEST = 18  # bytes of a gzip member: 10 of header and 8 of trailer
_FRAME_PIECE = 1 << 12  # frames are read in small steps, because an error takes its step's bytes with it


class Member:
    """A run of unpacked bytes; `problem` is `truncated` or `corrupt` once that is known."""

    problem: str = ""
    skipped: int = 0  # bytes of garbage before the member

    def __init__(self, offset: int, sequential: bool) -> None:
        self.offset = offset  # of the member in the file
        self.sequential = sequential  # whether positions inside it are positions in the file

    def more(self) -> bytes:
        """The next piece, empty at the end."""
        raise NotImplementedError

    def leave(self) -> None:
        """Go on to the next member without unpacking the rest of this one."""


class _Plain(Member):
    def __init__(self, stream: BinaryIO, offset: int) -> None:
        super().__init__(offset, sequential=True)
        self._stream = stream

    def more(self) -> bytes:
        return self._stream.read(PIECE)


class _Frames(Member):
    """All LZ4 or zstd frames of a file; `offset` is that of the frame that is being read."""

    def __init__(self, reader: Lz4Reader | ZstdReader, offset: int) -> None:
        super().__init__(offset, sequential=False)
        self._reader = reader

    def more(self) -> bytes:
        try:
            piece = self._reader.read(_FRAME_PIECE)
        except OSError as error:
            self.problem = "truncated" if "fill whole buffer" in str(error) else "corrupt"
            return b""
        self.offset = self._reader.frame_start_position() or self.offset
        return piece


class _Raw:
    """The compressed file: a window that moves on."""

    def __init__(self, stream: BinaryIO, offset: int) -> None:
        self._stream = stream
        self.window = b""
        self.offset = offset  # of the window's first byte

    def fill(self, wanted: int = 1) -> bool:
        """Have at least `wanted` bytes in the window; False where the file has fewer."""
        while len(self.window) < wanted:
            piece = self._stream.read(PIECE)
            if not piece:
                return False
            self.window += piece
        return True

    def drop(self, count: int) -> None:
        self.window = self.window[count:]
        self.offset += count

    def go_to(self, offset: int) -> None:
        self._stream.seek(offset)
        self.window, self.offset = b"", offset

    def at_member(self) -> bool:
        """Whether the window begins with a gzip member."""
        return self.fill(len(_GZIP)) and self.window.startswith(_GZIP)

    def seek_record(self) -> bool:
        """Move to the next gzip member that holds a record, by its first bytes; False where there is none."""
        while self.fill(_PROBE) or len(self.window) >= _SMALLEST:
            at = self.window.find(_GZIP)
            if at < 0:
                self.drop(len(self.window) - len(_GZIP) + 1)
            elif at > 0:
                self.drop(at)
            elif _holds_record(self.window[:_PROBE]):
                return True
            else:
                self.drop(1)
        self.drop(len(self.window))
        return False


def _holds_record(data: bytes) -> bool:
    try:
        first = zlib.decompressobj(31).decompress(data, 16)
    except zlib.error:
        return False
    return first.startswith((b"WARC/", b"http", b"filedesc"))


class _Gzip(Member):
    def __init__(self, raw: _Raw) -> None:
        super().__init__(raw.offset, sequential=False)
        self._raw = raw
        self._decoder = zlib.decompressobj(31)
        self._done = self._fed = False
        self.lost = False  # the next member does not begin where this one was left

    def more(self) -> bytes:
        while not self._done:
            try:
                if self._decoder.unconsumed_tail:
                    piece = self._decoder.decompress(self._decoder.unconsumed_tail, PIECE)
                elif self._raw.fill():
                    taken, self._fed = self._raw.window, True
                    self._raw.drop(len(taken))
                    piece = self._decoder.decompress(taken, PIECE)
                elif not (piece := self._decoder.decompress(b"", PIECE)):
                    self.problem, self._done = "truncated" if self._fed else "", True
                    return b""
            except zlib.error:
                self.problem = "corrupt"
                self._done = self.lost = True
                # the error shows late, when bytes of the next member may have been taken for this one's
                self._raw.go_to(self.offset + 1)
                return b""
            if self._decoder.eof:
                self._done = True
                self._give_back(self._decoder.unused_data)
            if piece:
                return piece
        return b""

    def leave(self) -> None:
        if not self._done:
            self._done = self.lost = True
            self._give_back(self._decoder.unconsumed_tail)

    def _give_back(self, rest: bytes) -> None:
        self._raw.window = rest + self._raw.window
        self._raw.offset -= len(rest)


def members(stream: BinaryIO, start: int = 0) -> Iterator[Member]:
    """Yield the members of an archive file from `start`, the first byte of one; each is used up before the next.

    `stream` stands at `start`. A gzip member's `skipped` counts the bytes passed over to find it; a last member
    without bytes has those at the end of the file.
    """
    raw = _Raw(stream, start)
    if not raw.fill(len(_GZIP) + 1) and not raw.window:
        return
    reader = _FRAMES.get(raw.window[:4])
    if reader is not None:
        stream.seek(start)
        yield _Frames(reader(stream), start)
    elif raw.window[:2] != _GZIP[:2]:
        stream.seek(start)
        yield _Plain(stream, start)
    else:
        while raw.fill():
            before = raw.offset
            if not raw.at_member():
                raw.seek_record()
            member = _Gzip(raw)
            member.skipped = raw.offset - before
            yield member
            while member.more():
                pass
            if member.lost:
                raw.seek_record()
