"""What Chinese words are cut by: jieba's dictionary as a double-array trie, its hidden Markov model as small tables.

Both come from the installed package `jieba` and are laid out for the cache. Characters are renumbered, the most
frequent Han first, so that the few thousand that make up nearly all text share cache lines in every table. Behind Han
come the ASCII that joins blocks with them, and behind these all other characters. The trie is one
array of cells of 8 bytes: the child of a node by a character lies at the node's base plus the character's number. It
is the node's own if it bears that character (no two nodes have one base). So a step is an addition, a load and a
comparison, found or not. Weights (logarithms of frequency) are few, 5,087, and have a table of their own. The whole
takes 7 MB. To lay out the trie takes a quarter of a minute, once: it is kept beside the compiled kernels.
"""

import functools
import hashlib
import importlib.util
import math
import os
import runpy
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from pyarrow import csv

from corpus.errors import HeadwaterError
from corpus.kernels.bits import ALL, trailing_zeros
from corpus.kernels.cache import kernel_folder
from corpus.kernels.types import F64, I64, U8, U16, U64, Records, Word
from corpus.linguistic.characters import ALPHABETIC, CONTENT, SPACE, character_classes

HAN_FIRST, HAN_LAST = 0x4E00, 0x9FD5
JOINING = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+#&._%-"  # in blocks, besides Han
BLANK = 0  # the number of white space
ASCII = 1 + HAN_LAST + 1 - HAN_FIRST  # the number of the first of `JOINING`; what is less and not white space is Han
SIGNS = ASCII + len(JOINING)  # from here on: characters that are in no block
BEYOND = (1 << 16) - 1  # the number of every character beyond the basic plane
IMPOSSIBLE = -3.14e100  # jieba's logarithm of 0
STATES = "BEMS"  # begin, end, middle, single: in the order in which jieba prefers the later of equals
CELL = np.dtype([("character", "<u2"), ("weight", "<u2"), ("base", "<u4")])  # weight 0: no word ends here
_MOST_CELLS = 1 << 20


class Lexicon(NamedTuple):
    """What the kernels look up. The node of a word's first character is the character's number."""

    numbers: U16  # of the characters of the basic plane
    bits: U8  # ALPHABETIC and CONTENT, as a number's character has them; 0 for white space
    cells: Records  # CELL; cell 0 is no node: nothing follows it
    weights: F64  # log of a word's share; [0] is -inf
    unknown: float  # the weight of a character that begins no word
    start: F64  # of the hidden states
    move: F64  # [from, to]
    emit: F64  # [number of a Han, state]


@functools.cache
def lexicon() -> Lexicon:
    """Dictionary and tables of the installed jieba."""
    spec = importlib.util.find_spec("jieba")  # located, not imported: only its data is used
    if spec is None or not spec.submodule_search_locations:
        raise HeadwaterError("Chinese words need the dictionary of the package jieba: pip install jieba==0.42.1")
    folder = Path(spec.submodule_search_locations[0])
    words, frequencies, total = _dictionary(folder / "dict.txt")
    logarithm = math.log(total)
    lengths = np.array([len(word) for word in words])
    points = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
    numbers = _renumber(np.bincount(points, np.repeat(frequencies.astype(np.float64), lengths), 1 << 16))
    matrix = np.zeros((len(words), lengths.max() + 1), np.uint16)  # one row per word, and a 0 behind it
    matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = numbers[points]
    usable = (frequencies > 0) & ~(matrix >= SIGNS).any(axis=1)
    different, weights = np.unique(frequencies[usable], return_inverse=True)
    matrix = matrix[usable]
    order = np.lexsort(matrix.T[::-1])
    roots = BEYOND + 1
    cells = _kept(matrix[order], (weights[order] + 1).astype(np.uint16), roots)
    if len(cells) == 0 or len(different) >= 1 << 16:
        raise HeadwaterError(f"{folder / 'dict.txt'}: more words or weights than the trie's {_MOST_CELLS:,} cells hold")
    bits = np.zeros(roots, np.uint8)
    bits[numbers] = character_classes()[: 1 << 16] & (ALPHABETIC | CONTENT)
    bits[BLANK] = 0
    return Lexicon(
        numbers,
        bits,
        cells,
        np.array([-np.inf, *(math.log(frequency) - logarithm for frequency in different.tolist())]),
        -logarithm,
        *_hidden_markov(folder / "finalseg", numbers),
    )


def _trie(words: Any, weights: Any, roots: int) -> Records:
    """The cells of the trie of sorted words, and as many behind them that a step from the last base stays inside."""
    cells = np.zeros(_MOST_CELLS, CELL)
    used = _lay_out(words, weights, roots, cells)
    return cells[: used + roots].copy() if used else cells[:0]


def _kept(words: Any, weights: Any, roots: int) -> Records:
    """The trie, as another process laid it out earlier; if none is kept, laid out and kept now."""
    digest = hashlib.sha256(words.tobytes() + weights.tobytes() + f"{roots} {_MOST_CELLS}".encode())
    path = kernel_folder() / f"lexicon-{digest.hexdigest()[:16]}.npy"
    with suppress(OSError, ValueError):
        return np.load(path)  # type: ignore[no-any-return]
    cells = _trie(words, weights, roots)
    if len(cells) == 0:
        return cells
    with suppress(OSError), tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        np.save(file, cells)
        os.replace(file.name, path)
    return cells


def _dictionary(path: Path) -> tuple[list[str], I64, int]:
    """Words, how often each occurs, and the sum over all lines; of a word with two lines the last counts."""
    table = csv.read_csv(
        path,
        csv.ReadOptions(column_names=["word", "frequency", "tag"]),
        csv.ParseOptions(delimiter=" ", quote_char=False),
        csv.ConvertOptions(column_types={"word": pa.string(), "frequency": pa.int64()}, strings_can_be_null=False),
    )
    frequencies = dict(zip(table["word"].to_pylist(), table["frequency"].to_pylist()))
    return list(frequencies), np.array(list(frequencies.values())), pc.sum(table["frequency"]).as_py()


def _renumber(uses: Any) -> U16:
    """The number of each character of the basic plane; the more a Han is used, the lower."""
    han = np.arange(HAN_FIRST, HAN_LAST + 1)
    ascii = np.array([*map(ord, JOINING)])
    blank = np.flatnonzero(character_classes()[: 1 << 16] & SPACE)
    numbers = np.zeros(1 << 16, np.uint16)
    numbers[han[np.argsort(-uses[han], kind="stable")]] = np.arange(1, ASCII)
    numbers[ascii] = np.arange(ASCII, SIGNS)
    signs = np.setdiff1d(np.arange(1 << 16), np.r_[han, ascii, blank])
    numbers[signs] = np.arange(SIGNS, SIGNS + len(signs))
    return numbers


def _hidden_markov(folder: Path, numbers: U16) -> Any:
    names = ("prob_start", "prob_trans", "prob_emit")
    tables = {name: runpy.run_path(str(folder / f"{name}.py"))["P"] for name in names}
    start = np.array([tables["prob_start"][state] for state in STATES])
    move = np.array([[tables["prob_trans"][a].get(b, IMPOSSIBLE) for b in STATES] for a in STATES])
    emit = np.full((ASCII, 4), IMPOSSIBLE)
    for column, state in enumerate(STATES):
        for character, value in tables["prob_emit"][state].items():
            if HAN_FIRST <= ord(character) <= HAN_LAST:
                emit[numbers[ord(character)], column] = value
    return start, move, emit


@njit(nogil=True, cache=True)
def _lay_out(words: U16, weights: U16, roots: int, cells: Records) -> int:
    """Fill `cells` with the trie of sorted `words`, breadth first; return how many cells it takes.

    A node's base is the first, used by no other node, at which all of its children fall on free cells. It lies behind
    the roots, whose cells bear no character of their own and would pass for children by white space. 0: too many words.
    """
    taken = np.zeros(len(cells) // 64 + 1, np.uint64)  # bits: cells, and bases
    bases = np.zeros(len(cells) // 64 + 1, np.uint64)
    for cell in range(roots):
        _set(taken, cell)
    queue = np.zeros((len(cells), 4), np.int64)  # nodes to lay out: first word, end of words, depth, cell
    queue[0, 1] = len(words)
    children = np.empty(roots, np.int64)
    full = 0  # all cells before 64 times this are taken
    used = head = 0
    tail = 1
    while head < tail:
        if max(used, roots) + roots + 128 > len(cells):  # where the next children may lie, and what `_fit` looks at
            return 0
        first, end, depth, node = queue[head]
        head += 1
        if depth and words[first, depth] == 0:
            cells[node].weight = weights[first]
            first += 1
        queued = tail
        for word in range(first, end):
            if word == first or words[word, depth] != words[word - 1, depth]:
                queue[tail, 0] = word
                children[tail - queued] = words[word, depth]
                tail += 1
            queue[tail - 1, 1] = word + 1
        if tail == queued:
            continue
        base = 0
        if depth:
            while taken[full] == ALL:
                full += 1
            base = _fit(taken, bases, children[: tail - queued], max(64 * full - children[0], roots))
            _set(bases, base)
            cells[node].base = base
        for i in range(queued, tail):
            cell = base + children[i - queued]
            queue[i, 2], queue[i, 3] = depth + 1, cell
            if depth:
                _set(taken, cell)
                cells[cell].character = children[i - queued]
            used = max(used, cell + 1)
    return used


@njit(nogil=True, cache=True)
def _fit(taken: U64, bases: U64, children: I64, base: int) -> Word:
    """The first free base from `base` on; 64 are tried at once, a bit each."""
    while True:
        busy = _bits(bases, base)
        for child in children:
            busy |= _bits(taken, base + child)
            if busy == ALL:
                break
        if busy != ALL:
            return base + np.int64(trailing_zeros(~busy))
        base += 64


@njit(inline="always")
def _set(bits: U64, at: int) -> None:
    bits[at >> 6] |= np.uint64(1) << np.uint64(at & 63)


@njit(inline="always")
def _bits(bits: U64, at: int) -> Word:
    """The 64 bits from `at` on."""
    shift = np.uint64(at & 63)
    return bits[at >> 6] >> shift | bits[(at >> 6) + 1] << np.uint64(1) << (np.uint64(63) - shift)
