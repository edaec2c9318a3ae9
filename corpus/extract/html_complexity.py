"""A look at the shape of an HTML page before it is parsed: would the parser be slow on it?

HTML parsing is linear on pages that people write, and quadratic on pages built to hurt: the extractor walks from each
element up to the root. So its work is the sum over elements of their depth. Attributes of one element are compared
with each other, and formatting elements left open are copied into every block that follows. A native parser cannot be
interrupted and a clock would make results differ between machines. So the work is counted beforehand, in one pass over
the bytes, and a page over the limit is rejected by that count. The count follows HTML's rules for open elements where
they matter and errs on the high side; it is a bound, not a parse.
"""

from typing import NamedTuple

import numpy as np

from corpus.kernels import njit
from corpus.kernels.types import U8, U64, Word

# The heaviest of 10,000 real pages measures 190,000; 20,000,000 takes the extractor about 6 s (200 elements around
# 120,000 paragraphs).
MAX_WORK = 20_000_000
# Attributes of one element; 1,024 on each of many elements is 5 s in a page of 5 MiB, 60,000 on one is 25 s.
MAX_ATTRIBUTES = 1024
# A page with no more tags holds at most a quarter of a million copies of formatting elements (half of them opened, half
# of them blocks; 0.5 s), and in one of no more bytes the attributes of a single element, which need four bytes each to
# differ, take 2 s at the very most: such pages need no count.
_FEW_TAGS = 1_000
_FEW_BYTES = 1 << 16
_STACK = 1 << 13


class Shape(NamedTuple):
    """What a page would cost: sum over elements of their depth, and the most attributes on one element."""

    work: int
    attributes: int


def measure(html: bytes) -> Shape:
    """Count a page's work; counting stops once a limit is passed. One pass, about 2 ns a byte."""
    work, attributes = _measure(np.frombuffer(html, np.uint8), MAX_WORK, MAX_ATTRIBUTES, _STACK)
    return Shape(int(work), int(attributes))


def too_complex(html: bytes) -> str:
    """Why a page must not be parsed, or nothing where it can be."""
    if len(html) <= _FEW_BYTES and html.count(b"<") <= _FEW_TAGS:
        return ""
    shape = measure(html)
    if shape.work > MAX_WORK:
        return f"nested so that its elements have more than {MAX_WORK} ancestors in all"
    return f"an element with more than {MAX_ATTRIBUTES} attributes" if shape.attributes > MAX_ATTRIBUTES else ""


def _pack(name: str) -> int:
    """The first eight bytes of a tag name as one number, as `_name` packs them."""
    return int.from_bytes(name.encode()[:8], "big")


def _packed(names: str) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.array(sorted(_pack(name) for name in names.split()), np.uint64)


# Elements that never stay open: void ones, and those whose end tag is implied by their next sibling.
_NOT_OPEN = _packed(
    "area base br col embed hr img input link meta param source track wbr p li dt dd tr td th thead tbody tfoot option "
    "optgroup colgroup rp rt"
)
# Elements that an inline end tag does not reach across (the standard's "special" ones, where they matter).
_BLOCKS = _packed(
    "div article section main aside header footer nav ul ol dl table blockquote center form fieldset address details "
    "figure figcaption pre body html head object button select template"
)
# Formatting elements: one left open when its block ends is opened again, as a copy, wherever text follows (the
# standard's list of active formatting elements), so a few hundred of them multiply every block behind them.
_FORMATTING = _packed("a b big code em font i nobr s small strike strong tt u")
_MOST_OPEN = 1024  # different formatting elements left open; real pages have a handful
_ALIKE = 3  # of equal ones the standard opens three again (the "Noah's Ark clause")
_RAW = _packed("script style textarea title xmp iframe noembed noframes")
_TABLE = np.uint64(_pack("table"))
_BODY = np.uint64(_pack("body"))
_HTML = np.uint64(_pack("html"))


@njit(nogil=True, cache=True)
def _among(value: Word, sorted_values: U64) -> bool:
    low, high = 0, len(sorted_values)
    while low < high:
        middle = (low + high) >> 1
        if sorted_values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low < len(sorted_values) and sorted_values[low] == value


@njit(nogil=True, cache=True)
def _name(data: U8, at: int) -> tuple[Word, int]:
    """The packed tag name at `at` and where it ends."""
    packed, count = np.uint64(0), 0
    while at < len(data):
        byte = data[at]
        if byte <= 32 or byte == 47 or byte == 62:  # blank / >
            break
        if count < 8:
            if 65 <= byte <= 90:
                byte |= np.uint8(32)
            packed = (packed << np.uint64(8)) | np.uint64(byte)
            count += 1
        at += 1
    return packed, at


@njit(nogil=True, cache=True)
def _skip_to_end_tag(data: U8, at: int, packed: Word) -> int:
    """Where the end tag of a raw-text element begins."""
    while at + 2 < len(data):
        if data[at] == 60 and data[at + 1] == 47:
            found, _ = _name(data, at + 2)
            if found == packed:
                return at
        at += 1
    return len(data)


@njit(nogil=True, cache=True)
def _skip_attributes(data: U8, at: int) -> tuple[int, int]:
    """The number of attributes from `at` to the tag's `>`, and the position after it."""
    count = 0
    size = len(data)
    while at < size and data[at] != 62:
        byte = data[at]
        if byte <= 32 or byte == 47:
            at += 1
            continue
        count += 1
        while at < size and data[at] > 32 and data[at] != 61 and data[at] != 62 and data[at] != 47:  # name
            at += 1
        after = at
        while after < size and data[after] <= 32:
            after += 1
        if after < size and data[after] == 61:  # = value
            at = after + 1
            while at < size and data[at] <= 32:
                at += 1
            if at < size and (data[at] == 34 or data[at] == 39):
                quote = data[at]
                at += 1
                while at < size and data[at] != quote:
                    at += 1
                at += 1
            else:
                while at < size and data[at] > 32 and data[at] != 62:
                    at += 1
    return count, at + 1


@njit(nogil=True, cache=True)
def _close(stack: U64, depth: int, packed: Word) -> tuple[int, int]:
    """The depth after an end tag, and the steps taken to find the element it closes."""
    block = _among(packed, _BLOCKS)
    for level in range(depth - 1, -1, -1):
        if stack[level] == packed:
            return level, depth - level
        if stack[level] == _TABLE or (not block and _among(stack[level], _BLOCKS)):
            return depth, depth - level
    return depth, depth


@njit(nogil=True, cache=True)
def _leave_open(left: U64, count: int, tag: Word) -> int:
    """The number of formatting elements left open, with one more."""
    alike = 0
    for index in range(count):
        alike += left[index] == tag
    if alike >= _ALIKE or count == len(left):
        return count
    left[count] = tag
    return count + 1


@njit(nogil=True, cache=True)
def _forget(left: U64, names: U64, count: int, packed: Word) -> int:
    """The number of formatting elements left open after an end tag for the last one of that name."""
    for index in range(count - 1, -1, -1):
        if names[index] == packed:
            left[index : count - 1] = left[index + 1 : count]
            names[index : count - 1] = names[index + 1 : count]
            return count - 1
    return count


@njit(nogil=True, cache=True)
def _hash(data: U8, start: int, end: int) -> Word:
    """FNV-1a of a tag's bytes, never 0."""
    value = np.uint64(14695981039346656037)
    for at in range(start, min(end, len(data))):
        value = (value ^ np.uint64(data[at])) * np.uint64(1099511628211)
    return value | np.uint64(1)


@njit(nogil=True, cache=True)
def _measure(data: U8, max_work: int, max_attributes: int, stack_size: int) -> tuple[int, int]:
    stack = np.zeros(stack_size, np.uint64)
    tags = np.zeros(stack_size, np.uint64)  # of formatting elements a hash of the tag, of others 0
    left, names, open_again = np.zeros(_MOST_OPEN, np.uint64), np.zeros(_MOST_OPEN, np.uint64), 0
    depth = work = most = merged = at = 0
    size = len(data)
    while at + 1 < size and work <= max_work and most <= max_attributes:
        if data[at] != 60:  # <
            at += 1
            continue
        byte = data[at + 1]
        if byte == 33:  # <! : a comment, or a declaration that ends at >
            if at + 3 < size and data[at + 2] == 45 and data[at + 3] == 45:
                at += 4
                while at + 2 < size and not (data[at] == 45 and data[at + 1] == 45 and data[at + 2] == 62):
                    at += 1
                at += 3
            else:
                at += 2
            continue
        closing = byte == 47
        start = at + 2 if closing else at + 1
        if start >= size or not (97 <= (data[start] | 32) <= 122):
            at += 1
            continue
        packed, at = _name(data, start)
        attributes, at = _skip_attributes(data, at)
        formatting = _among(packed, _FORMATTING)
        if open_again and (_among(packed, _BLOCKS) or _among(packed, _NOT_OPEN)):
            work += open_again * (depth + open_again)
        if closing:
            level, steps = _close(stack, depth, packed)
            work += steps
            if level == depth and formatting:
                open_again = _forget(left, names, open_again, packed)
            for inner in range(level + 1, depth):
                if tags[inner]:
                    names[min(open_again, _MOST_OPEN - 1)] = stack[inner]
                    open_again = _leave_open(left, open_again, tags[inner])
            depth = level
            continue
        work += depth + 1
        if packed in (_BODY, _HTML):  # a second <body> adds its attributes to the first
            merged += attributes
            attributes = merged
        most = max(most, attributes)
        if _among(packed, _RAW):
            at = _skip_to_end_tag(data, at, packed)
        elif not _among(packed, _NOT_OPEN):
            if depth == stack_size:
                return max_work + 1, most
            stack[depth] = packed
            tags[depth] = _hash(data, start, at) if formatting else 0
            depth += 1
    return work, most
