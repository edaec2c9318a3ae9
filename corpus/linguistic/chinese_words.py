"""Chinese words, for the rules that are defined on words: jieba's own algorithm and dictionary, as a kernel.

FineWeb-2 and MAP-CC define their Chinese rules on jieba's words. jieba walks Python strings, 0.7 MB/s; this gives the
same words, cut for cut, some twenty times faster, from the dictionary and tables of the installed package `jieba`:

1. A block is a run of Han, ASCII letters and digits and `+#&._%-`. Every other character that is no space is a word.
2. In a block, of all ways to cut it into words of the dictionary (a character that begins none is a word itself), the
   one with the highest product of word frequencies; of equal ones the longer first word.
3. Where that leaves a run of single characters which is no word itself, a hidden Markov model (begin, middle, end,
   single) cuts its Han; letters and digits stand together.

The dictionary is a trie in one open-addressing table keyed by (node, character).
"""

import functools
import importlib.util
import math
import runpy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.errors import HeadwaterError
from corpus.kernels import MIX_A, mix64
from corpus.linguistic.characters import SPACE
from corpus.linguistic.scan import SEED, decode

_HAN_FIRST, _HAN_LAST = 0x4E00, 0x9FD5
_IMPOSSIBLE = -3.14e100  # jieba's logarithm of 0
_STATES = "BEMS"  # in the order in which jieba's comparison of (probability, letter) prefers the later
HINT_BITS = 22
TRIE = np.dtype([("key", "<u8"), ("child", "<i4"), ("word", "<i4")])


class Lexicon(NamedTuple):
    """What the kernel looks up."""

    trie: npt.NDArray[np.void]  # TRIE: (node << 21 | character) + 1 -> node, index of the word's weight (0: no word)
    roots: npt.NDArray[np.int32]  # for a first character of the basic plane: its node (0: none) and its weight
    hints: npt.NDArray[np.uint64]  # a bit for the hash of each key, small enough for the cache: most misses end here
    weights: npt.NDArray[np.float64]  # log of a word's share; [0] is that of a character that begins no word
    start: npt.NDArray[np.float64]  # of the hidden states
    move: npt.NDArray[np.float64]  # [from, to]
    emit: npt.NDArray[np.float64]  # [character - _HAN_FIRST, state]


class Room(NamedTuple):
    """Scratch for one document of so many characters: its code points, the best cut from each, and the words' ends."""

    points: npt.NDArray[np.int32]
    best: npt.NDArray[np.float64]
    after: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    back: npt.NDArray[np.int8]


def room(longest: int) -> Room:
    """Scratch for documents of at most `longest` bytes."""
    size = longest + 8
    return Room(
        np.empty(size, np.int32), np.empty(size, np.float64), np.empty(size, np.int32), np.empty(size, np.int32),
        np.empty(size, np.int32), np.empty((size, 4), np.int8),
    )  # fmt: skip


@functools.cache
def lexicon() -> Lexicon:
    """Dictionary and tables of the installed jieba."""
    spec = importlib.util.find_spec("jieba")  # located, not imported: only its data is used
    if spec is None or not spec.submodule_search_locations:
        raise HeadwaterError("Chinese words need the dictionary of the package jieba: pip install jieba==0.42.1")
    folder = Path(spec.submodule_search_locations[0])
    frequencies: dict[str, int] = {}
    total = 0
    for line in (folder / "dict.txt").read_text("utf-8").splitlines():
        word, frequency = line.split(" ")[:2]
        frequencies[word] = int(frequency)
        total += int(frequency)
    logarithm = math.log(total)
    words = [word for word, frequency in frequencies.items() if frequency]
    weights = np.array([-logarithm, *(math.log(frequencies[word]) - logarithm for word in words)])
    points = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
    ends = np.cumsum([len(word) for word in words])
    trie = np.zeros(1 << (2 * len(points)).bit_length() - 1, TRIE)
    roots = np.zeros((1 << 16, 2), np.int32)
    hints = np.zeros(1 << HINT_BITS - 6, np.uint64)
    _build(points, ends, trie, roots, hints)
    return Lexicon(trie, roots, hints, weights, *_hidden_markov(folder / "finalseg"))


def _hidden_markov(folder: Path) -> Any:
    names = ("prob_start", "prob_trans", "prob_emit")
    tables = {name: runpy.run_path(str(folder / f"{name}.py"))["P"] for name in names}
    start = np.array([tables["prob_start"][state] for state in _STATES])
    move = np.array([[tables["prob_trans"][a].get(b, _IMPOSSIBLE) for b in _STATES] for a in _STATES])
    emit = np.full((_HAN_LAST - _HAN_FIRST + 1, 4), _IMPOSSIBLE)
    for column, state in enumerate(_STATES):
        for character, value in tables["prob_emit"][state].items():
            if _HAN_FIRST <= ord(character) <= _HAN_LAST:
                emit[ord(character) - _HAN_FIRST, column] = value
    return start, move, emit


@njit(inline="always")
def _slot(trie, key):  # type: ignore[no-untyped-def]
    """The slot of a key, or the empty one where it would be."""
    mask = np.uint64(len(trie) - 1)
    slot = mix64(key) & mask
    while trie[slot].key != key and trie[slot].key != np.uint64(0):
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(inline="always")
def _key(node, point):  # type: ignore[no-untyped-def]
    return (np.uint64(node) << np.uint64(21) | np.uint64(point)) + np.uint64(1)


@njit(nogil=True, cache=True)
def _build(points, ends, trie, roots, hints):  # type: ignore[no-untyped-def]
    nodes = 1
    at = 0
    for word in range(len(ends)):
        node = 0
        while at < ends[word]:
            slot = _slot(trie, _key(node, points[at]))
            if trie[slot].key == np.uint64(0):
                trie[slot].key = _key(node, points[at])
                trie[slot].child = nodes
                nodes += 1
            node = trie[slot].child
            at += 1
        trie[slot].word = word + 1
    for slot in range(len(trie)):
        if trie[slot].key != np.uint64(0):
            bit = mix64(trie[slot].key) >> np.uint64(64 - HINT_BITS)
            hints[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
    for point in range(len(roots)):
        slot = _slot(trie, _key(0, point))
        if trie[slot].key != np.uint64(0):
            roots[point, 0] = trie[slot].child
            roots[point, 1] = trie[slot].word


@njit(inline="always")
def _is_han(point):  # type: ignore[no-untyped-def]
    return 0x4E00 <= point <= 0x9FD5


@njit(inline="always")
def _is_alphanumeric(point):  # type: ignore[no-untyped-def]
    return 0x30 <= point <= 0x39 or 0x41 <= point <= 0x5A or 0x61 <= point <= 0x7A


@njit(inline="always")
def _joins(point):  # type: ignore[no-untyped-def]
    """Whether a character belongs to a block."""
    if _is_han(point) or _is_alphanumeric(point):
        return True
    sign = point == 0x2B or point == 0x23 or point == 0x26 or point == 0x25  # + # & %
    return sign or point == 0x2E or point == 0x5F or point == 0x2D  # . _ -


@njit(nogil=True, cache=True)
def cut(data, start, end, classes, lexicon, room):  # type: ignore[no-untyped-def]
    """Cut `data[start:end]` (UTF-8) into words; word i is the characters `room.starts[i]` to `room.ends[i]` of
    `room.points`. Returns how many; white space is in none."""
    points = room.points
    count = 0
    at = start
    while at < end:
        byte = data[at]
        if byte < 0x80:
            points[count] = byte
            at += 1
        else:
            point, size = decode(data, at)
            points[count] = point
            at += min(size, end - at)
        count += 1
    words = 0
    at = 0
    while at < count:
        if not _joins(points[at]):
            if not classes[points[at]] & SPACE:
                room.starts[words] = at
                room.ends[words] = at + 1
                words += 1
            at += 1
            continue
        first = at
        while at < count and _joins(points[at]):
            at += 1
        words = _cut_block(first, at, lexicon, room, words)
    return words


@njit(nogil=True, cache=True)
def _cut_block(first, last, lexicon, room, words):  # type: ignore[no-untyped-def]
    points, best, after, trie, weights = room.points, room.best, room.after, lexicon.trie, lexicon.weights
    roots, hints, mask = lexicon.roots, lexicon.hints, np.uint64(len(lexicon.trie) - 1)
    best[last] = 0.0
    for at in range(last - 1, first - 1, -1):
        node, word = roots[points[at], 0], roots[points[at], 1]
        highest = weights[word] + best[at + 1] if word else 0.0
        to = at + 1 if word else 0
        until = at + 1
        while node and until < last:
            key = _key(node, points[until])
            hash_ = mix64(key)
            bit = hash_ >> np.uint64(64 - HINT_BITS)
            if not hints[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1):
                break
            slot = hash_ & mask
            while trie[slot].key != key and trie[slot].key != np.uint64(0):
                slot = (slot + np.uint64(1)) & mask
            if trie[slot].key == np.uint64(0):
                break
            until += 1
            word = trie[slot].word
            if word:
                value = weights[word] + best[until]
                if to == 0 or value >= highest:
                    highest = value
                    to = until
            node = trie[slot].child
        if to == 0:
            to = at + 1
            highest = weights[0] + best[to]
        best[at] = highest
        after[at] = to
    at = first
    run = first  # where the run of single characters began
    while at < last:
        to = after[at]
        if to - at > 1:
            words = _cut_run(run, at, lexicon, room, words)
            room.starts[words] = at
            room.ends[words] = to
            words += 1
            run = to
        at = to
    return _cut_run(run, last, lexicon, room, words)


@njit(nogil=True, cache=True)
def _cut_run(first, last, lexicon, room, words):  # type: ignore[no-untyped-def]
    """Words of a run of characters that the dictionary leaves single."""
    points = room.points
    if last - first <= 1 or _is_word(points, first, last, lexicon.trie):
        for at in range(first, last):
            room.starts[words] = at
            room.ends[words] = at + 1
            words += 1
        return words
    at = first
    while at < last:
        begin = at
        if _is_han(points[at]):
            while at < last and _is_han(points[at]):
                at += 1
            words = _cut_unknown(begin, at, lexicon, room, words)
        elif _is_alphanumeric(points[at]):  # [a-zA-Z0-9]+(?:\.\d+)?%?
            while at < last and _is_alphanumeric(points[at]):
                at += 1
            if at + 1 < last and points[at] == 0x2E and 0x30 <= points[at + 1] <= 0x39:
                at += 1
                while at < last and 0x30 <= points[at] <= 0x39:
                    at += 1
            if at < last and points[at] == 0x25:
                at += 1
            room.starts[words] = begin
            room.ends[words] = at
            words += 1
        else:
            while at < last and not _is_han(points[at]) and not _is_alphanumeric(points[at]):
                at += 1
            room.starts[words] = begin
            room.ends[words] = at
            words += 1
    return words


@njit(nogil=True, cache=True)
def _is_word(points, first, last, trie):  # type: ignore[no-untyped-def]
    node = 0
    word = 0
    for at in range(first, last):
        slot = _slot(trie, _key(node, points[at]))
        if trie[slot].key == np.uint64(0):
            return False
        node = trie[slot].child
        word = trie[slot].word
    return word != 0


@njit(inline="always")
def _better(a, from_a, b, from_b):  # type: ignore[no-untyped-def]
    """The higher of two probabilities, the later letter of equal ones; `from_a` is the later letter."""
    if a >= b:
        return a, from_a
    return b, from_b


@njit(nogil=True, cache=True)
def _cut_unknown(first, last, lexicon, room, words):  # type: ignore[no-untyped-def]
    """Viterbi over begin 0, end 1, middle 2, single 3."""
    points, back, start, move, emit = room.points, room.back, lexicon.start, lexicon.move, lexicon.emit
    row = emit[points[first] - 0x4E00]
    b, e, m, s = start[0] + row[0], start[1] + row[1], start[2] + row[2], start[3] + row[3]
    for at in range(first + 1, last):
        row = emit[points[at] - 0x4E00]
        new_b, back[at, 0] = _better(s + move[3, 0] + row[0], 3, e + move[1, 0] + row[0], 1)
        new_e, back[at, 1] = _better(m + move[2, 1] + row[1], 2, b + move[0, 1] + row[1], 0)
        new_m, back[at, 2] = _better(m + move[2, 2] + row[2], 2, b + move[0, 2] + row[2], 0)
        new_s, back[at, 3] = _better(s + move[3, 3] + row[3], 3, e + move[1, 3] + row[3], 1)
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
            room.starts[words] = begin if state == 1 else at
            room.ends[words] = at + 1
            words += 1
            unfinished = at + 1
    if unfinished < last:
        room.starts[words] = unfinished
        room.ends[words] = last
        words += 1
    return words


@njit(nogil=True, cache=True)
def fill_tokens(room, words, classes, tokens):  # type: ignore[no-untyped-def]
    """The words as the rules' tokens, hashed as the scan hashes; between any two lies one blank, as the definitions'
    `" ".join` has it."""
    tokens.ends[0] = 0
    for i in range(words):
        value = SEED
        bits = 0
        for at in range(room.starts[i], room.ends[i]):
            point = room.points[at]
            value = (value ^ np.uint64(point)) * MIX_A
            bits |= classes[point]
        tokens.hashes[i] = mix64(value)
        tokens.ends[i + 1] = tokens.ends[i] + room.ends[i] - room.starts[i]
        tokens.gaps[i] = i
        tokens.bits[i] = bits
