"""Starting from characters instead of bytes, where that provably changes nothing.

Chinese text is three bytes per character, and most pretokens of it are new. So most of its encoding would be spent on
joining the bytes of characters that always become one token. For a character that has a token this can be skipped if
nothing can happen to its bytes before they are joined. Let R be the highest rank among the merges that join them when
the character stands alone. The lowest rank goes first, so those merges are done before any other of a rank above R.
It is therefore enough that whatever could interfere ranks above R: merges of what comes before with a beginning of
the character, of an end of it with what comes behind, and any with the finished character. All are looked up here,
once for a vocabulary; a character that fails keeps its bytes."""

import numpy as np
import numpy.typing as npt

CODES = 0x10000  # characters of two and three bytes; those of four keep their bytes
_NEVER = 1 << 40


def first_symbols(
    tokens: tuple[bytes, ...],
    byte_ids: npt.NDArray[np.int32],
    pairs: npt.NDArray[np.int32],
    made: npt.NDArray[np.int32],
) -> npt.NDArray[np.int32]:
    """The id to start from for each character of two or three bytes, by code point; -1: start from its bytes.

    `tokens` are the conventional tokens, `byte_ids` int32[256], `pairs` (int32[merges, 2]) and `made` the merges by
    rank. Returns int32[CODES]."""
    symbols = np.full(CODES, -1, np.int32)
    if not len(made):
        return symbols
    left, right, ranks = pairs[:, 0], pairs[:, 1], np.arange(len(made))
    begins_character = np.array([token[0] & 0xC0 != 0x80 for token in tokens])
    outward = begins_character[right]  # the right part is not the rest of a character that the left part began
    as_left, as_right, as_either = (np.full(len(tokens), _NEVER) for _ in range(3))
    np.minimum.at(as_left, left[outward], ranks[outward])
    np.minimum.at(as_right, right, ranks)
    np.minimum.at(as_either, left, ranks)
    np.minimum.at(as_either, right, ranks)
    inside = np.array([len(token) <= 3 for token in tokens])[made]
    merges = {
        (a, b): (rank, new)
        for a, b, rank, new in zip(
            left[inside].tolist(), right[inside].tolist(), ranks[inside].tolist(), made[inside].tolist(), strict=True
        )
    }
    for number, token in enumerate(tokens):
        code = _code_point(token)
        if code < 0:
            continue
        joined = _join_alone([int(byte_ids[byte]) for byte in token], merges)
        if joined is None:
            continue
        highest, beginnings, ends = joined
        lowest = min([as_either[number], *as_right[beginnings], *as_left[ends]])
        if lowest > highest:
            symbols[code] = number
    return symbols


def _code_point(token: bytes) -> int:
    """The code point of a token that is one character of two or three bytes, else -1."""
    if len(token) not in (2, 3):
        return -1
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return -1
    return ord(text) if len(text) == 1 else -1


def _join_alone(
    symbols: list[int], merges: dict[tuple[int, int], tuple[int, int]]
) -> tuple[int, list[int], list[int]] | None:
    """Join the bytes of one character with nothing around: the highest rank that takes, and all tokens that were a
    beginning or an end of the character on the way; None where they do not become one token."""
    highest, beginnings, ends = -1, [], []
    while len(symbols) > 1:
        beginnings.append(symbols[0])
        ends.append(symbols[-1])
        found = [
            (*merges[pair], at) for at in range(len(symbols) - 1) if (pair := tuple(symbols[at : at + 2])) in merges
        ]
        if not found:
            return None
        rank, new, at = min(found, key=lambda merge: (merge[0], merge[2]))
        highest = max(highest, rank)
        symbols[at : at + 2] = [new]
    return highest, beginnings, ends
