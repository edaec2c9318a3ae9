"""Chinese words, for the rules that are defined on words: jieba's own algorithm and dictionary, as a kernel.

FineWeb-2 and MAP-CC define their Chinese rules on jieba's words. jieba walks Python strings, 0.7 MB/s; this gives the
same words, cut for cut, some hundred times faster:

1. A block is a run of Han, ASCII letters and digits and `+#&._%-`. Every other character that is no space is a word.
2. In a block, of all ways to cut it into words of the dictionary, the one with the highest product of word
frequencies. A character that begins no word is a word itself. Of equal ones the longer first word.
3. Where that leaves a run of single characters which is no word itself, a hidden Markov model (begin, middle, end,
   single) cuts its Han; letters and digits stand together.

Each step is a pass over the whole document, as numbers of characters (`corpus.linguistic.lexicon`), written with few
branches: whether a pair is a word cannot be foretold, and a wrong guess costs more than looking. Indices are unsigned,
since numba asks of a signed one each time whether it counts from the end.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from corpus.kernels.hashing import GOLDEN_RATIO, MURMUR_1
from corpus.kernels.jit import kernel
from corpus.kernels.memory import load64
from corpus.kernels.types import F64, I8, U8, U16, U32, U64, Records, Word
from corpus.kernels.utf8 import decode, point_of_three
from corpus.linguistic.lexicon import ASCII, BEYOND, BLANK, JOINING, SIGNS, Lexicon, lexicon
from corpus.linguistic.tokens import Tokens

_U16, _U32, _U64 = np.uint16, np.uint32, np.uint64
_NONE, _ONE, _TWO, _THREE, _FOUR, _EIGHT = _U64(0), _U64(1), _U64(2), _U64(3), _U64(4), _U64(8)
# Masks of the first four characters of a word of n <= 8, and of the next four: [n].
_FIRST_FOUR = np.array([(1 << 16 * min(size, 4)) - 1 for size in range(9)], np.uint64)
_NEXT_FOUR = np.array([(1 << 16 * max(size - 4, 0)) - 1 for size in range(9)], np.uint64)
_ALPHANUMERIC = JOINING.index("z") + 1  # of the characters from ASCII on, digits first
_LETTERS = _U32(1 << 31)
_HALF, _LOW = _U64(32), _U64(0xFFFFFFFF)
_POINT, _PERCENT = _U16(ASCII + JOINING.index(".")), _U16(ASCII + JOINING.index("%"))


class Room(NamedTuple):
    """Scratch for one document: its characters, the best cut from each, and its words."""

    numbers: U16  # of the characters
    beyond: U32  # the code points of those beyond the basic plane, in order
    best: F64  # the weight of the best cut of what follows
    lengths: U32  # of that cut's first word; `_LETTERS` set: of the letters and digits from here on
    spans: U64  # of the words: the first character, and the end in the upper half
    runs: U32  # [run, 3], two or more single characters: first word, end, end when they are cut anew
    back: I8  # [character, state]: the likeliest state before


def room(longest: int) -> Room:
    """Scratch for documents of at most `longest` bytes."""
    size = longest + 8
    return Room(
        np.empty(size, np.uint16), np.empty(size // 4 + 1, np.uint32), np.empty(size, np.float64),
        np.empty(size, np.uint32), np.empty(size, np.uint64), np.empty((size // 2 + 2, 3), np.uint32),
        np.empty((size, 4), np.int8),
    )  # fmt: skip


@kernel
def cut(data: U8, start: Word, end: Word, classes: U8, lexicon: Lexicon, room: Room, tokens: Tokens) -> Word:
    """Fill `tokens` with the words of `data[start:end]` (UTF-8); how many there are. White space is in none.

    Between any two words lies one blank, as the definitions' `" ".join` has it. `room` must come from `room(n)` and
    `tokens` from `new_tokens(n)`, with n >= end - start.
    """
    count = _read(data, start, end, lexicon.numbers, room)
    _weigh(count, lexicon, room)
    runs, words = _walk(count, room)
    _cut_runs(runs, lexicon, room)
    return _fill(runs, words, lexicon, classes, room, tokens)


@kernel
def _read(data: U8, start: Word, end: Word, numbers: U16, room: Room) -> Word:
    """Fill `room.numbers` and `room.beyond`; how many characters there are."""
    count = beyond = _NONE
    at, end = _U64(start), _U64(end)
    while at < end:
        while at < end and data[at] < 0x80:
            room.numbers[count] = numbers[data[at]]
            count += _ONE
            at += _ONE
        while at < end and data[at] & 0xF0 == 0xE0:
            room.numbers[count] = numbers[point_of_three(load64(data, at))]
            count += _ONE
            at += _THREE
        if at < end and data[at] >= 0x80 and data[at] & 0xF0 != 0xE0:
            point, size = decode(data, at)
            room.numbers[count] = numbers[point] if point < 0x10000 else _U16(BEYOND)
            room.beyond[beyond] = point
            beyond += _U64(point >= 0x10000)
            count += _ONE
            at += _U64(size)
    return count


@kernel
def _weigh(count: Word, lexicon: Lexicon, room: Room) -> None:
    """From the last character to the first: the best cut of what follows each, and its first word."""
    numbers, cells, weights, unknown = room.numbers, lexicon.cells, lexicon.weights, lexicon.unknown
    numbers[count] = numbers[count + _ONE] = numbers[count + _TWO] = BLANK
    room.best[count] = 0.0
    after_one = after_two = after_three = 0.0  # the best from one, two and three characters on
    letters = _U32(0)  # how many letters and digits stand here of which none begins a longer word
    at = count
    while at > _NONE:
        at -= _ONE
        number = numbers[at]
        one = _U64(number)
        two = _child(cells, one, numbers[at + _ONE])
        length = _U32(1)
        if cells[one].base == 0 or (_is_alphanumeric(number) and two == _NONE):
            weight = (weights[cells[one].weight] if cells[one].weight else unknown) + after_one
            best = weight if _joins(number) else 0.0  # between blocks the sum begins anew
            plain = _U32(_is_alphanumeric(number))
            letters = (letters + _U32(1)) * plain
            length = (letters | _LETTERS) * plain + _U32(1) - plain
        else:
            letters = _U32(0)
            three = _child(cells, two, numbers[at + _TWO])
            alone = weights[cells[one].weight] + after_one
            pair = weights[cells[two].weight] + after_two
            best = weights[cells[three].weight] + after_three
            length = _U32(3) if best >= pair else _U32(2)
            best = max(best, pair)
            node = three
            until = at + _THREE
            while cells[node].base:
                node = _child(cells, node, numbers[until])
                until += _ONE
                if cells[node].weight:
                    weight = weights[cells[node].weight] + room.best[until]
                    length = _U32(until - at) if weight >= best else length
                    best = max(best, weight)
            length = length if best >= alone else _U32(1)
            best = max(best, alone)
            if best == -np.inf:  # nor does a shorter one
                length = _U32(1)
                best = unknown + after_one
        room.best[at] = best
        room.lengths[at] = length
        after_one, after_two, after_three = best, after_one, after_two


@njit(inline="always")
def _joins(number: Word) -> Word:
    """Whether a character stands in blocks."""
    return _U16(number - _U16(1)) < _U16(SIGNS - 1)


@njit(inline="always")
def _child(cells: Records, node: Word, number: Word) -> Word:
    """The node that a character leads to, or 0."""
    child = _U64(cells[node].base) + _U64(number)
    return child if cells[child].character == number else _NONE


@kernel
def _walk(count: Word, room: Room) -> tuple[Word, Word]:
    """Write the words of the best cut, and where two or more of a block meet that are single: (runs, words).

    Letters and digits of which none begins a longer word are single together, and alone they are a word.
    """
    numbers, lengths, spans, runs = room.numbers, room.lengths, room.spans, room.runs
    at = words = found = run = _NONE
    while at < count:
        length = lengths[at]
        number = numbers[at]
        single = (length == 1) & _joins(number) | (length > _LETTERS)
        before = run
        run = run + _ONE if single else _NONE
        begin = at
        at += _U64(length & ~_LETTERS)
        spans[words] = begin | at << _HALF
        begins = (before == _ONE) & (run == _TWO)
        found += _U64(begins)
        runs[found if begins else _NONE, 0] = words - before
        words += _U64(number != BLANK)
        runs[found if run > _ONE else _NONE, 1] = words
    return found, words


@njit(inline="always")
def _add(room: Room, words: Word, first: Word, last: Word) -> Word:
    room.spans[words] = first | last << _HALF
    return words + _ONE


@kernel
def _cut_runs(runs: Word, lexicon: Lexicon, room: Room) -> None:
    """Cut the characters of the runs anew, as words from each run's first on.

    They fit where the run's parts were, of which there are never less: letters taken together are parted again only in
    a run that is a word itself, and a word weighs more than any two single characters of it that are none: no letter or
    digit is.
    """
    for run in range(_ONE, runs + _ONE):
        words, last = _U64(room.runs[run, 0]), _U64(room.runs[run, 1])
        room.runs[run, 2] = _cut_run(room.spans[words] & _LOW, room.spans[last - _ONE] >> _HALF, lexicon, room, words)


@njit(inline="always")
def _cut_run(first: Word, last: Word, lexicon: Lexicon, room: Room, words: Word) -> Word:
    """Words of a run of characters, written from `words` on; the end of these."""
    numbers = room.numbers
    if _is_word(first, last, numbers, lexicon.cells):
        for at in range(first, last):
            words = _add(room, words, at, at + _ONE)
        return words
    at = first
    while at < last:
        begin = at
        if numbers[at] < ASCII:
            while at < last and numbers[at] < ASCII:
                at += _ONE
            words = _cut_unknown(begin, at, lexicon, room, words)
            continue
        if _is_alphanumeric(numbers[at]):  # [a-zA-Z0-9]+(?:\.\d+)?%?
            while at < last and _is_alphanumeric(numbers[at]):
                at += _U64(room.lengths[at] & ~_LETTERS)
            if at + _ONE < last and numbers[at] == _POINT and _is_digit(numbers[at + _ONE]):
                at += _ONE
                while at < last and _is_digit(numbers[at]):
                    at += _ONE
            if at < last and numbers[at] == _PERCENT:
                at += _ONE
        else:
            while at < last and numbers[at] >= ASCII and not _is_alphanumeric(numbers[at]):
                at += _ONE
        words = _add(room, words, begin, at)
    return words


@njit(inline="always")
def _is_digit(number: Word) -> Word:
    return _U16(number - _U16(ASCII)) < _U16(10)


@njit(inline="always")
def _is_alphanumeric(number: Word) -> Word:
    return _U16(number - _U16(ASCII)) < _U16(_ALPHANUMERIC)


@njit(inline="always")
def _is_word(first: Word, last: Word, numbers: U16, cells: Records) -> bool:
    node = _U64(numbers[first])
    for at in range(first + _ONE, last):
        node = _child(cells, node, numbers[at])
        if node == _NONE:
            return False
    return cells[node].weight != 0


@njit(inline="always")
def _better(a: float, from_a: int, b: float, from_b: int) -> tuple[float, int]:
    """The higher of two probabilities, the later letter of equal ones; `from_a` is the later letter."""
    if a >= b:
        return a, from_a
    return b, from_b


@njit(inline="always")
def _cut_unknown(first: Word, last: Word, lexicon: Lexicon, room: Room, words: Word) -> Word:
    """Viterbi over begin 0, end 1, middle 2, single 3."""
    numbers, back, start, move, emit = room.numbers, room.back, lexicon.start, lexicon.move, lexicon.emit
    row = numbers[first]
    b, e, m, s = start[0] + emit[row, 0], start[1] + emit[row, 1], start[2] + emit[row, 2], start[3] + emit[row, 3]
    for at in range(first + _ONE, last):
        row = numbers[at]
        new_b, back[at, 0] = _better(s + move[3, 0] + emit[row, 0], 3, e + move[1, 0] + emit[row, 0], 1)
        new_e, back[at, 1] = _better(m + move[2, 1] + emit[row, 1], 2, b + move[0, 1] + emit[row, 1], 0)
        new_m, back[at, 2] = _better(m + move[2, 2] + emit[row, 2], 2, b + move[0, 2] + emit[row, 2], 0)
        new_s, back[at, 3] = _better(s + move[3, 3] + emit[row, 3], 3, e + move[1, 3] + emit[row, 3], 1)
        b, e, m, s = new_b, new_e, new_m, new_s
    state = 3 if s >= e else 1
    at = last - _ONE
    while at > first:
        before = back[at, state]
        back[at, 0] = state
        state = before
        at -= _ONE
    back[first, 0] = state
    begin = unfinished = first
    for at in range(first, last):
        state = back[at, 0]
        if state == 0:
            begin = at
        elif state == 1 or state == 3:
            words = _add(room, words, begin if state == 1 else at, at + _ONE)
            unfinished = at + _ONE
    return _add(room, words, unfinished, last) if unfinished < last else words


@njit(inline="always")
def _hash(numbers: U16, at: Word, size: Word) -> Word:
    """The hash of a word of `size` characters: of up to four no two are the same. Up to eight take the same path."""
    value = _NONE
    while size > _EIGHT:
        value = (value ^ load64(numbers, at)) * GOLDEN_RATIO
        value ^= value >> _HALF
        at += _FOUR
        size -= _FOUR
    value = (value ^ load64(numbers, at) & _FIRST_FOUR[size]) * GOLDEN_RATIO
    value ^= value >> _HALF
    value = (value ^ load64(numbers, at + _FOUR) & _NEXT_FOUR[size]) * GOLDEN_RATIO
    return value ^ value >> _HALF


@kernel
def _fill(runs: Word, words: Word, lexicon: Lexicon, classes: U8, room: Room, tokens: Tokens) -> Word:
    """Write the words as tokens, of runs those that these were cut into anew; how many there are."""
    numbers, spans, bits = room.numbers, room.spans, lexicon.bits
    hashes, lengths, kinds, gaps = tokens.hashes, tokens.ends, tokens.bits, tokens.gaps
    room.runs[runs + _ONE, :] = words  # behind the last: nothing
    lengths[0] = 0
    count = done = beyond = total = _NONE
    for run in range(_ONE, runs + _TWO):
        for word in range(done, _U64(room.runs[run, 2])):
            at, size = spans[word] & _LOW, (spans[word] >> _HALF) - (spans[word] & _LOW)
            total += size
            gaps[count] = count
            hashes[count] = _hash(numbers, at, size)
            kind = bits[numbers[at]]
            if _is_digit(numbers[at]):  # letters may follow; what begins with a letter has all bits, with a sign none
                for other in range(at + _ONE, at + size):
                    kind |= bits[numbers[other]]
            elif numbers[at] == BEYOND:
                point = room.beyond[beyond]
                beyond += _ONE
                hashes[count] = _U64(point) * MURMUR_1
                kind = classes[point]
            kinds[count] = kind
            count += _ONE
            lengths[count] = total
        done = _U64(room.runs[run, 1])
    return np.int64(count)


def hash_word(word: str) -> int:
    """The hash that `cut` gives a word of the basic plane."""
    numbers = np.zeros(len(word) + 8, np.uint16)
    numbers[: len(word)] = lexicon().numbers[[ord(character) for character in word]]
    return int(_hash_numbers(numbers, len(word)))


@kernel
def _hash_numbers(numbers: U16, size: int) -> Word:
    return _hash(numbers, _NONE, _U64(size))
