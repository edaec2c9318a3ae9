"""Chinese words, for the rules that are defined on words: jieba's own algorithm and dictionary, as a kernel.

FineWeb-2 and MAP-CC define their Chinese rules on jieba's words. jieba walks Python strings, 0.7 MB/s; this gives the
same words, cut for cut, some hundred times faster:

1. A block is a run of Han, ASCII letters and digits and `+#&._%-`. Every other character that is no space is a word.
2. In a block, of all ways to cut it into words of the dictionary (a character that begins none is a word itself), the
   one with the highest product of word frequencies; of equal ones the longer first word.
3. Where that leaves a run of single characters which is no word itself, a hidden Markov model (begin, middle, end,
   single) cuts its Han; letters and digits stand together.

Each step is a pass over the whole document, as numbers of characters (`corpus.linguistic.lexicon`). The second is
written without branches for words of up to three characters, which nearly all are: whether a pair is a word cannot be
foretold, and a wrong guess costs more than looking.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.kernels import NO_FOLD, hash_bytes, kernel
from corpus.linguistic.characters import ALPHABETIC, CONTENT
from corpus.linguistic.lexicon import BLANK, SIGN
from corpus.linguistic.scan import decode

_NONE, _ONE, _TWO, _THREE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)


class Room(NamedTuple):
    """Scratch for one document: its characters, the best cut from each, and its words."""

    numbers: npt.NDArray[np.uint16]  # of the characters
    places: npt.NDArray[np.int32]  # where each begins, in bytes from the document's start; one more for its end
    best: npt.NDArray[np.float64]  # the weight of the best cut of what follows
    lengths: npt.NDArray[np.int32]  # of that cut's first word
    starts: npt.NDArray[np.int32]  # of the words, in characters
    ends: npt.NDArray[np.int32]
    back: npt.NDArray[np.int8]  # [character, state]: the likeliest state before


def room(longest: int) -> Room:
    """Scratch for documents of at most `longest` bytes."""
    size = longest + 8
    return Room(
        np.empty(size, np.uint16), np.empty(size, np.int32), np.empty(size, np.float64), np.empty(size, np.int32),
        np.empty(size, np.int32), np.empty(size, np.int32), np.empty((size, 4), np.int8),
    )  # fmt: skip


@kernel
def cut(data, start, end, lexicon, room):  # type: ignore[no-untyped-def]
    """Cut `data[start:end]` (UTF-8) into words; word i is its characters `room.starts[i]` to `room.ends[i]`.

    Returns how many; white space is in none.
    """
    count = _read(data, start, end, lexicon.numbers, room)
    _weigh(count, lexicon, room)
    return _collect(data, start, count, lexicon, room)


@kernel
def _read(data, start, end, numbers, room):  # type: ignore[no-untyped-def]
    """Fill `room.numbers` and `room.places`; how many characters there are."""
    count = 0
    at = start
    while at < end:
        byte = data[at]
        room.places[count] = at - start
        if byte < 0x80:
            room.numbers[count] = numbers[byte]
            at += 1
        else:
            point, size = decode(data, at)
            room.numbers[count] = numbers[point] if point < 0x10000 else SIGN
            at += min(size, end - at)
        count += 1
    room.places[count] = end - start
    return count


@kernel
def _weigh(count, lexicon, room):  # type: ignore[no-untyped-def]
    """From the last character to the first: the best cut of what follows each, and its first word."""
    numbers, cells, weights = room.numbers, lexicon.cells, lexicon.weights
    numbers[count] = numbers[count + 1] = numbers[count + 2] = BLANK
    room.best[count] = 0.0
    after_one = after_two = after_three = 0.0  # the best from one, two and three characters on
    at = np.uint64(count)
    while at > _NONE:
        at -= _ONE
        one = np.uint64(numbers[at])
        two = _child(cells, one, numbers[at + _ONE])
        three = _child(cells, two, numbers[at + _TWO])
        alone = weights[cells[one].weight] + after_one
        pair = weights[cells[two].weight] + after_two
        best = weights[cells[three].weight] + after_three
        length = np.int32(3) if best >= pair else np.int32(2)
        best = max(best, pair)
        node = three
        until = at + _THREE
        while cells[node].base:
            node = _child(cells, node, numbers[until])
            until += _ONE
            if cells[node].weight:
                weight = weights[cells[node].weight] + room.best[until]
                length = np.int32(until - at) if weight >= best else length
                best = max(best, weight)
        length = length if best >= alone else np.int32(1)
        best = max(best, alone)
        if best == -np.inf:  # no word begins here; between blocks the sum begins anew
            length = np.int32(1)
            best = lexicon.unknown + after_one if one > SIGN else 0.0
        room.best[at] = best
        room.lengths[at] = length
        after_one, after_two, after_three = best, after_one, after_two


@njit(inline="always")
def _child(cells, node, number):  # type: ignore[no-untyped-def]
    """The node that a character leads to, or 0."""
    child = cells[node].base + number
    return child if cells[child].character == number else _NONE


@kernel
def _collect(data, start, count, lexicon, room):  # type: ignore[no-untyped-def]
    """Walk along the best cut and write its words; how many there are."""
    numbers, lengths = room.numbers, room.lengths
    words = at = run = 0  # `run`: where the run of single characters that ends here began
    while at < count:
        length = lengths[at]
        if length == 1 and numbers[at] > SIGN:
            at += 1
            continue
        if run < at:
            words = _cut_run(data, start, run, at, lexicon, room, words)
        if numbers[at] != BLANK:
            words = _add(room, words, at, at + length)
        at += length
        run = at
    return _cut_run(data, start, run, at, lexicon, room, words) if run < at else words


@njit(inline="always")
def _add(room, words, first, last):  # type: ignore[no-untyped-def]
    room.starts[words] = first
    room.ends[words] = last
    return words + 1


@kernel
def _cut_run(data, start, first, last, lexicon, room, words):  # type: ignore[no-untyped-def]
    """Words of a run of characters that the dictionary leaves single."""
    if last - first == 1 or _is_word(first, last, room.numbers, lexicon.cells):
        for at in range(first, last):
            words = _add(room, words, at, at + 1)
        return words
    at = first
    while at < last:
        begin = at
        byte = _byte(data, start, room, at)
        if byte >= 0x80:
            while at < last and _byte(data, start, room, at) >= 0x80:
                at += 1
            words = _cut_unknown(begin, at, lexicon, room, words)
            continue
        if _is_alphanumeric(byte):  # [a-zA-Z0-9]+(?:\.\d+)?%?
            while at < last and _is_alphanumeric(_byte(data, start, room, at)):
                at += 1
            if at + 1 < last and _byte(data, start, room, at) == 0x2E and _is_digit(_byte(data, start, room, at + 1)):
                at += 1
                while at < last and _is_digit(_byte(data, start, room, at)):
                    at += 1
            if at < last and _byte(data, start, room, at) == 0x25:
                at += 1
        else:
            while at < last and _is_sign(_byte(data, start, room, at)):
                at += 1
        words = _add(room, words, begin, at)
    return words


@njit(inline="always")
def _byte(data, start, room, at):  # type: ignore[no-untyped-def]
    """The first byte of a character: itself if it is ASCII; in a block all others are Han."""
    return data[start + room.places[at]]


@njit(inline="always")
def _is_digit(byte):  # type: ignore[no-untyped-def]
    return 0x30 <= byte <= 0x39


@njit(inline="always")
def _is_alphanumeric(byte):  # type: ignore[no-untyped-def]
    return _is_digit(byte) or 0x41 <= byte <= 0x5A or 0x61 <= byte <= 0x7A


@njit(inline="always")
def _is_sign(byte):  # type: ignore[no-untyped-def]
    return byte < 0x80 and not _is_alphanumeric(byte)


@kernel
def _is_word(first, last, numbers, cells):  # type: ignore[no-untyped-def]
    node = np.uint64(numbers[first])
    for at in range(first + 1, last):
        node = _child(cells, node, numbers[at])
        if node == _NONE:
            return False
    return cells[node].weight != 0


@njit(inline="always")
def _better(a, from_a, b, from_b):  # type: ignore[no-untyped-def]
    """The higher of two probabilities, the later letter of equal ones; `from_a` is the later letter."""
    if a >= b:
        return a, from_a
    return b, from_b


@kernel
def _cut_unknown(first, last, lexicon, room, words):  # type: ignore[no-untyped-def]
    """Viterbi over begin 0, end 1, middle 2, single 3."""
    numbers, back, start, move, emit = room.numbers, room.back, lexicon.start, lexicon.move, lexicon.emit
    row = numbers[first]
    b, e, m, s = start[0] + emit[row, 0], start[1] + emit[row, 1], start[2] + emit[row, 2], start[3] + emit[row, 3]
    for at in range(first + 1, last):
        row = numbers[at]
        new_b, back[at, 0] = _better(s + move[3, 0] + emit[row, 0], 3, e + move[1, 0] + emit[row, 0], 1)
        new_e, back[at, 1] = _better(m + move[2, 1] + emit[row, 1], 2, b + move[0, 1] + emit[row, 1], 0)
        new_m, back[at, 2] = _better(m + move[2, 2] + emit[row, 2], 2, b + move[0, 2] + emit[row, 2], 0)
        new_s, back[at, 3] = _better(s + move[3, 3] + emit[row, 3], 3, e + move[1, 3] + emit[row, 3], 1)
        b, e, m, s = new_b, new_e, new_m, new_s
    state = 3 if s >= e else 1
    for at in range(last - 1, first, -1):
        before = back[at, state]
        back[at, 0] = state
        state = before
    back[first, 0] = state
    begin = unfinished = first
    for at in range(first, last):
        state = back[at, 0]
        if state == 0:
            begin = at
        elif state == 1 or state == 3:
            words = _add(room, words, begin if state == 1 else at, at + 1)
            unfinished = at + 1
    return _add(room, words, unfinished, last) if unfinished < last else words


@kernel
def fill_tokens(data, start, room, words, classes, tokens):  # type: ignore[no-untyped-def]
    """The words as the rules' tokens, hashed as the scan hashes; between any two lies one blank, as the definitions'
    `" ".join` has it."""
    tokens.ends[0] = 0
    for i in range(words):
        first, last = room.starts[i], room.ends[i]
        at, end = start + room.places[first], start + room.places[last]
        tokens.hashes[i] = hash_bytes(data, np.uint64(at), np.uint64(end), NO_FOLD)
        tokens.ends[i + 1] = tokens.ends[i] + last - first
        tokens.gaps[i] = i
        bits = np.uint8(ALPHABETIC | CONTENT)  # as every Han has
        if room.numbers[first] == SIGN or data[at] < 0x80:
            bits = np.uint8(0)
            while at < end:
                point, size = decode(data, at)
                bits |= classes[point]
                at += size
        tokens.bits[i] = bits
