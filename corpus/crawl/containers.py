"""The containers of archive files, unpacked piece by piece, whatever state they are in.

A WARC file is plain, or a row of gzip members (one per record, mostly), LZ4 frames or zstd frames. A `Member` is one of
these; it gives its unpacked bytes in bounded pieces and says at its end whether it was whole, cut or corrupt. What
follows a broken one is found again by the next one's first bytes. Nothing here holds more than a piece in memory, so a
member that unpacks to gigabytes costs time, up to a limit, and no memory.
"""

from collections.abc import Iterator
from typing import BinaryIO

from corpus.io.decompress import ERRORS, FORMATS, Inflate, magic_of

PIECE = 1 << 16  # bytes read, and at most unpacked, at a time
_STEP = 1 << 9  # packed bytes given to decoders that lose what precedes an error in the same step
_PROBE = 1 << 12  # bytes that are unpacked to see whether a member begins with a record
_SMALLEST = 12  # bytes of the smallest member or frame that can hold anything
_BEGINNINGS = (b"WARC/", b"http", b"filedesc")


class Member:
    """A run of unpacked bytes; `problem` is `truncated` or `corrupt` once that is known. This one is a plain file."""

    problem: str = ""
    skipped: int = 0  # bytes of garbage before the member
    sequential = True  # whether positions inside it are positions in the file

    def __init__(self, stream: BinaryIO, offset: int) -> None:
        self._stream = stream
        self.offset = offset  # of the member in the file

    def more(self) -> bytes:
        """The next piece, empty at the end."""
        return self._stream.read(PIECE)

    def leave(self) -> None:
        """Go on to the next member without unpacking the rest of this one."""


class _Raw:
    """The compressed file: a window that moves on."""

    def __init__(self, stream: BinaryIO, offset: int, magic: bytes) -> None:
        self._stream = stream
        self.magic = magic
        self.window = b""
        self.offset = offset  # of the window's first byte
        stream.seek(offset)

    def fill(self, wanted: int = 1) -> bool:
        """Have at least `wanted` bytes in the window; False where the file has fewer."""
        while len(self.window) < wanted:
            piece = self._stream.read(PIECE)
            if not piece:
                return False
            self.window += piece
        return True

    def take(self, count: int) -> bytes:
        """The next `count` bytes, or as many as there are."""
        taken = self.window[:count]
        self.window = self.window[count:]
        self.offset += len(taken)
        return taken

    def give_back(self, rest: bytes) -> None:
        self.window = rest + self.window
        self.offset -= len(rest)

    def go_to(self, offset: int) -> None:
        self._stream.seek(offset)
        self.window, self.offset = b"", offset

    def seek_record(self) -> None:
        """Move to the next member that holds a record, by its first bytes, or to the end."""
        while self.fill(_PROBE) or len(self.window) >= _SMALLEST:
            at = self.window.find(self.magic)
            if at < 0:
                self.take(len(self.window) - len(self.magic) + 1)
            elif at > 0:
                self.take(at)
            elif _holds_record(self.window[:_PROBE], self.magic):
                return
            else:
                self.take(1)
        self.take(len(self.window))


def _holds_record(data: bytes, magic: bytes) -> bool:
    """Whether a record begins here. Of a block longer than the probe LZ4 and zstd give nothing: its magic must do."""
    decoder = FORMATS[magic]()
    try:
        first = decoder.decompress(data, 16)
    except ERRORS:
        return False
    return first.startswith(_BEGINNINGS) or (not first and not decoder.eof and not isinstance(decoder, Inflate))


class _Packed(Member):
    """One gzip member, LZ4 frame or zstd frame."""

    sequential = False

    def __init__(self, raw: _Raw) -> None:
        self._raw = raw
        self.offset = raw.offset
        self._decoder = FORMATS[magic_of(raw.window) or raw.magic]()
        self._step = PIECE if isinstance(self._decoder, Inflate) else _STEP
        self._done = self._fed = False
        self.lost = False  # the next member does not begin where this one was left

    def more(self) -> bytes:
        while not self._done:
            data, at_end = b"", False
            if self._decoder.needs_input:
                at_end = not self._raw.fill()
                data = self._raw.take(self._step)
                self._fed = self._fed or not at_end
            try:
                piece = self._decoder.decompress(data, PIECE)
            except ERRORS:
                self.problem = "corrupt"
                # the error shows late, when bytes of the next member may have been taken for this one's
                self.leave()
                return b""
            if self._decoder.eof:
                self._done = True
                self._raw.give_back(self._decoder.unused_data or b"")
            elif at_end and not piece:
                self.problem, self._done = "truncated" if self._fed else "", True
            if piece:
                return piece
        return b""

    def leave(self) -> None:
        if not self._done:
            self._done = self.lost = True
            self._raw.go_to(self.offset + 1)


def members(stream: BinaryIO, start: int = 0) -> Iterator[Member]:
    """Yield the members of an archive file from `start`, the first byte of one; each is used up before the next.

    A packed member's `skipped` counts the bytes passed over to find it; a last member without bytes has those at the
    end of the file.
    """
    stream.seek(start)
    first = stream.read(4)
    if not first:
        return
    # a file that is cut inside its first bytes is still one of gzip, and not a plain one
    magic = magic_of(first) or next((known for known in FORMATS if first[:2] == known[:2]), None)
    if magic is None:
        stream.seek(start)
        yield Member(stream, start)
        return
    raw = _Raw(stream, start, magic)
    while raw.fill():
        before = raw.offset
        raw.fill(len(magic))
        if not magic_of(raw.window):
            raw.seek_record()
        member = _Packed(raw)
        member.skipped = raw.offset - before
        yield member
        while member.more():
            pass
        if member.lost:
            raw.seek_record()
