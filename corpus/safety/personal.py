"""Personal data in text, as spans: mail addresses, telephone numbers, identity and card numbers, network addresses.

A kernel walks the bytes and points at the few candidates, where any of them can be: an `@`, a run of digits and their
separators that is long enough, a run of hexadecimal digits with colons that begins with a digit, as global IPv6
addresses do. Regular expressions and checksums then judge those only. What is matched:

- `email`: an address with a dotted domain, by the characters that are in use (a subset of RFC 5322). Domains reserved
  for examples (RFC 2606) do not count, and `icon@2x.png` is a file.
- `phone`: mainland China (mobile 1[3-9]xxxxxxxxx, landline with area code and separator), North America (with
  separators: ten digits in a row are anything), and any number in international form (`+`, 8 to 15 digits, E.164).
- `id_number`: Chinese resident identity numbers (GB 11643: 18 digits, birth date and checksum are checked). United
States social security numbers (the ranges that were ever given out). Payment cards (issuer's prefix, length and Luhn
  checksum, ISO/IEC 7812).
- `ip`: IPv4 and IPv6 addresses that are globally routable; private, loopback and documentation ranges do not
  count, and four numbers below 32 are a version of some program.

Where two kinds claim the same digits the stricter one wins, in the order id_number, ip, phone.
"""

import ipaddress
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.memory import load64
from corpus.kernels.types import I64, U8, Word
from corpus.spans import Spans

KINDS = ("email", "phone", "id_number", "ip")
_AT, _DIGITS, _COLONS = 0, 1, 2
_ONES = np.uint64(0x0101010101010101)
_LOCAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}\Z")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?P<top>[A-Za-z]{2,24})(?![A-Za-z0-9-])")
_FILES = frozenset(["png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "ico", "js", "css", "html", "json", "md", "pdf"])
_RESERVED = re.compile(r"(?i:(?:\A|\.)(?:example\.(?:com|org|net)|[^.]*\.?(?:example|test|invalid|localhost))\Z)")
_NUMBER = re.compile(
    r"""
    (?P<resident>(?<!\d)[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![\dA-Za-z]))
  | (?P<social>(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\d-]))
  | (?P<card>(?<![\d.-])(?:[2-6]\d{3}(?P<a>[ -])\d{4}(?P=a)\d{4}(?P=a)\d{4}
                        |3[47]\d\d(?P<b>[ -])\d{6}(?P=b)\d{5}|[2-6]\d{12,18})(?![\d-]))
  | (?P<ip>(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d))
  | (?P<mobile>(?<![\w./=-])(?:(?:\+|00)?86[- ]?)?1[3-9]\d(?:[- ]?\d{4}){2}(?!\d))
  | (?P<landline>(?<![\d.-])(?:(?:\+|00)86[- ]?)?
                     (?:(?:\(0(?:10|2\d|[3-9]\d\d)\)\ ?|0(?:10|2\d|[3-9]\d\d)-)\d{3,4}[- ]?\d{4}
                       |0(?:10|2\d|[3-9]\d\d)\ \d{7,8})(?![\d-]))
  | (?P<american>(?<![\d.-])(?:\+?1[-. ])?(?:\([2-9]\d\d\)\ ?|[2-9]\d\d[-. ])[2-9]\d\d[-.]\d{4}(?![\d-]|\.\d))
  | (?P<international>(?<![\w+])\+[1-9]\d{0,2}(?:[ .-]?(?:\(\d{1,5}\)|\d{1,5})){2,5}(?!\d))
    """,
    re.ASCII | re.VERBOSE,
)
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]*[0-9A-Fa-f](?![\w:])", re.ASCII)  # 2000::/3
_CARDS = re.compile(r"4(?:\d{12}|\d{15})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|62\d{14,17}|6(?:011|5\d\d)\d{12}")
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def personal_spans(texts: pa.Array | pa.ChunkedArray) -> Spans:
    """The spans of a (large_)string column, of the kinds in `KINDS`; null is empty."""
    data, offsets = utf8_buffers(texts)
    found = _candidates(data, offsets, np.empty((1 << 12, 4), np.int64))
    view = data.data
    rows: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    kinds: list[str] = []
    for row, kind, first, last in found.tolist():
        low, high = int(offsets[row]), int(offsets[row + 1])
        before = ends[-1] + low if rows and rows[-1] == row else low  # spans of a document do not overlap
        for start, end, what in _judge(view, kind, first, last, low, high):
            if start >= before:
                rows.append(row)
                starts.append(start - low)
                ends.append(end - low)
                kinds.append(what)
                before = end
    counts = np.bincount(np.array(rows, np.int64), minlength=len(offsets) - 1)
    return Spans(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        pa.array(kinds, pa.string()),
    )


def _judge(view: memoryview, kind: int, first: int, last: int, low: int, high: int) -> Iterator[tuple[int, int, str]]:
    """`(start, end, kind)` of what a candidate holds; positions are those of the buffer, `low..high` its document."""
    if kind == _AT:
        left = _LOCAL.search(_text(view, max(low, first - 64), first))
        right = _DOMAIN.match(_text(view, first + 1, min(high, first + 256)))
        if left and right and right["top"].lower() not in _FILES and not _RESERVED.search(right[0]):
            yield first - len(left[0]), first + 1 + right.end(), "email"
        return
    begin = max(low, first - 2)  # what stands before and after decides too
    context = _text(view, begin, min(high, last + 2))
    for match in (_NUMBER if kind == _DIGITS else _IPV6).finditer(context):
        name = match.lastgroup or "ip"
        if _is_valid(name, match[0]):
            what = {"resident": "id_number", "social": "id_number", "card": "id_number", "ip": "ip"}.get(name, "phone")
            yield begin + match.start(), begin + match.end(), what


def _text(view: memoryview, start: int, end: int) -> str:
    """Bytes as characters one by one: everything that is looked for is ASCII."""
    return bytes(view[start:end]).decode("latin-1")


def _is_valid(name: str, text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    if name == "ip":
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return address.is_global and max(address.packed) >= 32
    if name == "resident":
        total = sum(int(digit) * weight for digit, weight in zip(text, _RESIDENT_WEIGHTS))
        return "10X98765432"[total % 11] == text[-1].upper()
    if name == "card":
        return bool(_CARDS.fullmatch(digits)) and _luhn(digits)
    return name != "international" or 8 <= len(digits) <= 15


def _luhn(digits: str) -> bool:
    doubled = (int(digit) * 2 if position % 2 else int(digit) for position, digit in enumerate(reversed(digits)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


@njit(nogil=True, cache=True)
def _candidates(data: U8, offsets: I64, found: I64) -> I64:
    """int64[n, 4] of (row, what, first, last): every candidate, in the order of where they end."""
    total = 0
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        first = hex_first = np.int64(-1)  # of the run of digits, of the run of hexadecimal digits and colons
        digits = dots = colons = 0
        last = start  # behind the last digit of the run
        at = np.int64(start)
        while at <= end:
            if first < 0 and hex_first < 0 and not _has_digit_or_at(load64(data, at)):
                at += 8
                continue
            byte = data[at] if at < end else np.uint8(0)
            digit = np.uint8(48) <= byte <= np.uint8(57)
            if total + 3 > len(found):
                larger = np.empty((2 * len(found), 4), np.int64)
                larger[:total] = found[:total]
                found = larger
            if digit:
                if first < 0:
                    first, digits, dots = at, 0, 0
                if hex_first < 0:
                    hex_first, colons = at, 0
                digits += 1
                last = at + 1
            elif first >= 0:
                if byte in (32, 40, 41, 43, 45, 46) and at - last < 2:  # blank ( ) + - .
                    dots += byte == 46
                else:
                    if digits >= 7 or (digits >= 4 and dots >= 3):
                        found[total] = row, _DIGITS, first, last
                        total += 1
                    first = np.int64(-1)
            if hex_first >= 0:
                if byte == 58:
                    colons += 1
                elif not digit and not np.uint8(97) <= byte | np.uint8(32) <= np.uint8(102):
                    if colons >= 2:
                        found[total] = row, _COLONS, hex_first, at
                        total += 1
                    hex_first = np.int64(-1)
            if byte == 64 and at > start and at + 1 < end:
                found[total] = row, _AT, at, at + 1
                total += 1
            at += 1
    return found[:total]


@njit(inline="always")
def _has_digit_or_at(eight: Word) -> bool:
    """Whether one of eight bytes is 0x30 to 0x3F (the digits and six others) or an @."""
    threes = (eight ^ _ONES * np.uint64(0x30)) & _ONES * np.uint64(0xF0)
    ats = eight ^ _ONES * np.uint64(0x40)
    zero = ((threes - _ONES) & ~threes) | ((ats - _ONES) & ~ats)
    return (zero & _ONES * np.uint64(0x80)) != np.uint64(0)
