"""Decoders of gzip, zstd and LZ4 with one interface: fed in pieces, giving at most so much at a time.

The interface is the one that zstd's and LZ4's own decoders have: `decompress(data, max_length)`, `needs_input`, `eof`
and `unused_data`. zlib's gets it here, and one thing more: what precedes an error is given before the error is raised,
so that nothing is lost of a damaged file but the damage.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ERRORS = (zlib.error, zstd.ZstdError, RuntimeError)  # RuntimeError is what lz4 raises
_WINDOW = {int(zstd.DecompressionParameter.window_log_max): 31}  # files packed with `zstd --long=31` at most
_GZIP = 31  # zlib's number for gzip's header and the largest window


class Decoder(Protocol):
    """What unpacks one gzip member, zstd frame or LZ4 frame."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Unpack up to `max_length` bytes; `data` is empty unless `needs_input`. Raises one of ERRORS."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before more goes in."""

    @property
    def eof(self) -> bool:
        """Whether the member or frame has ended."""

    @property
    def unused_data(self) -> bytes | None:
        """What followed its end in the data."""


class Inflate:
    """zlib's decoder; `wbits` as zlib counts them, gzip by default."""

    def __init__(self, wbits: int = _GZIP) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self._error: zlib.error | None = None

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Unpack up to `max_length` bytes; raises zlib.error where no byte precedes the error."""
        if self._error:
            raise self._error
        data = self._zlib.unconsumed_tail + data
        before = self._zlib.copy()
        try:
            return self._zlib.decompress(data, max_length)
        except zlib.error as error:
            self._error = error
            if found := _up_to_error(before, data, max_length):
                return found
            raise

    @property
    def needs_input(self) -> bool:
        """Whether all that was given has been taken in."""
        return not self._zlib.unconsumed_tail and not self._error

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        """What followed its end."""
        return self._zlib.unused_data


def _up_to_error(decoder: "zlib._Decompress", data: bytes, max_length: int) -> bytes:
    """What comes out before the error that is known to be in `data`, found by halving."""
    parts, room = [], max_length
    while data and room > 0:
        half = data[: (len(data) + 1) // 2]
        trial = decoder.copy()
        try:
            part = trial.decompress(half, room)
        except zlib.error:
            if len(half) == len(data):
                break
            data = half
            continue
        parts.append(part)
        room -= len(part)
        decoder, data = trial, trial.unconsumed_tail + data[len(half) :]
    return b"".join(parts)


def unzstd() -> Decoder:
    """A decoder of one zstd frame."""
    return zstd.ZstdDecompressor(options=_WINDOW)


FORMATS: dict[bytes, Callable[[], Decoder]] = {
    b"\x1f\x8b\x08": Inflate,
    b"\x28\xb5\x2f\xfd": unzstd,
    b"\x50\x2a\x4d\x18": unzstd,  # a skippable frame
    b"\x04\x22\x4d\x18": lz4.frame.LZ4FrameDecompressor,
}


def magic_of(data: bytes) -> bytes | None:
    """The first bytes that tell the format, where `data` begins with a known one."""
    return next((magic for magic in FORMATS if data.startswith(magic)), None)
