"""The byte-level alphabet: the printable symbol that stands for each byte in `tokenizer.json`.

GPT-2's table: printable Latin-1 bytes stand for themselves, the other 68 for the code points from 256 on. The 13
bytes that never occur in UTF-8 are no part of the conventional vocabulary, as in the paper's model; they get ids
behind it."""

from functools import cache

import numpy as np
import numpy.typing as npt

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = [byte for byte in range(256) if byte not in _PRINTABLE]
SYMBOLS = {byte: chr(byte) for byte in _PRINTABLE} | {byte: chr(256 + at) for at, byte in enumerate(_HIDDEN)}
BYTES = {symbol: byte for byte, symbol in SYMBOLS.items()}

# The 13 bytes in the order of the ids 100002 to 100014 of the paper's model: the symbols ø ö ú ÿ õ ÷ û ý À ù Á þ ü.
NEVER_IN_UTF8 = tuple(BYTES[symbol] for symbol in "øöúÿõ÷ûýÀùÁþü")

# The 243 others, in the order of their symbols' code points, which is the order of the ids 0 to 242.
ALPHABET = tuple(sorted(set(range(256)) - set(NEVER_IN_UTF8), key=lambda byte: SYMBOLS[byte]))


@cache
def byte_ids() -> npt.NDArray[np.int32]:
    """The id of each byte's token, int32[256]; -1 for the 13 that are not in the conventional vocabulary."""
    ids = np.full(256, -1, np.int32)
    ids[list(ALPHABET)] = np.arange(len(ALPHABET), dtype=np.int32)
    return ids


def to_symbols(raw: bytes) -> str:
    """Bytes as `tokenizer.json` writes them."""
    return "".join(SYMBOLS[byte] for byte in raw)


def from_symbols(text: str) -> bytes:
    """The bytes that byte-level symbols stand for; raise KeyError for any other character."""
    return bytes(BYTES[symbol] for symbol in text)
