"""From the bytes of a page to text, when what the server says about them is missing or wrong.

The order of trust: a byte order mark; then UTF-8 wherever the bytes are valid UTF-8, because hardly any text in another
encoding passes that test by chance, whatever is declared; then what the page declares (the HTTP header, then `<meta>`)
as long as the result looks like text: a server's default of ISO-8859-1 decodes anything, and Big5 read as GBK gives
valid but absurd characters. So East Asian encodings are judged by the share of very common characters in what they
give. Labels mean what browsers take them to mean (WHATWG Encoding, section 4.2): GB2312 and GBK are GB18030, Big5
includes Hong Kong's characters, ISO-8859-1 is windows-1252.
"""

import codecs
import re
from functools import lru_cache
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding

# Above this share of replacement characters among the characters beyond ASCII, bytes are not text in that encoding.
MAX_REPLACED = 0.1
# Above this share of control characters (other than white space and escape), bytes are not text at all.
MAX_CONTROLS = 0.02
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\f\r\x1b")
# Common characters are a quarter to a half of real Chinese, Japanese and Korean text, and below 3% of misread text.
_PLAUSIBLE = 0.06
_JUDGED = 20_000  # characters that are judged
# Valid UTF-8 with fewer bytes than this beyond ASCII may be a short GBK or Big5 text, where one of them is declared.
_SURE_UTF8 = 12
_ZEROS = 6  # zero bytes that tell UTF-16: `<html>`
_META_SCAN = 4096  # bytes searched for <meta charset>; the standard requires it within 1,024
_META = re.compile(rb"""<meta[^>]{0,512}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.+-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""^\s*<\?xml[^>]{0,256}?encoding\s*=\s*["']([A-Za-z0-9_:.-]{2,40})""")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_EAST_ASIAN = ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949")
_COMMON = frozenset(
    "的一是不了在人有我他这這个個们們中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于於着下自之年过過发發"
    "后後作里裡用道行所然家种種事成方多经經么麼去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些主样樣理心她本前开開"
    "但因只从從想实實，。、的のにはをたがでとしれいあるなかもらりっこまよ이다는의에을를가은로고하지사한기도인리시아서해수니라나어자"
)
# WHATWG labels whose meaning is wider than the codec of that name, as Python names codecs.
_WEB = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "gb_2312-80": "gb18030", "chinese": "gb18030",
    "big5": "big5hkscs", "big5-hkscs": "big5hkscs", "cn-big5": "big5hkscs", "x-x-big5": "big5hkscs",
    "cp950": "big5hkscs", "iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874",
    "tis-620": "cp874", "iso-8859-8-i": "iso8859-8", "shift_jis": "cp932", "x-sjis": "cp932", "windows-31j": "cp932",
    "euc_kr": "cp949", "ks_c_5601-1987": "cp949", "ksc5601": "cp949", "windows-949": "cp949", "x-euc-jp": "euc_jp",
    "x-mac-cyrillic": "mac-cyrillic", "unicode": "utf-16-le", "utf-16": "utf-16-le", "unicode-1-1-utf-8": "utf-8",
}  # fmt: skip
_CODECS = frozenset(
    [
        "utf-8",
        "utf-16-le",
        "utf-16-be",
        "gb18030",
        "big5hkscs",
        "cp932",
        "euc_jp",
        "iso2022_jp",
        "cp949",
        "hz",
        "cp866",
        "cp874",
        "koi8-r",
        "koi8-u",
        "mac-roman",
        "mac-cyrillic",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
        "iso8859-2",
        "iso8859-3",
        "iso8859-4",
        "iso8859-5",
        "iso8859-6",
        "iso8859-7",
        "iso8859-8",
        "iso8859-10",
        "iso8859-13",
        "iso8859-14",
        "iso8859-15",
        "iso8859-16",
    ]
)


class Decoded(NamedTuple):
    """A page's text and the encoding it was read with; `text` is None where no encoding makes sense of the bytes."""

    text: str | None
    charset: str


def decode(data: bytes, declared: str | None = None, html: bool = True) -> Decoded:
    """Decode a page; `declared` is the HTTP header's charset; `html` looks for `<meta charset>` too.

    Bytes that are wrong in the chosen encoding become U+FFFD, at most MAX_REPLACED of the characters beyond ASCII.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return _replacing(data[len(mark) :], name)
    if wide := _without_mark(data):
        return _replacing(data, wide)
    codecs_declared = [codec for label in _labels(data, declared, html) if (codec := lookup(label))]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        beyond = len(data) - len(text)
        multi = next((name for name in codecs_declared if name in _EAST_ASIAN), None) if beyond < _SURE_UTF8 else None
        escaped = next((name for name in codecs_declared if name in ("iso2022_jp", "hz")), None)
        other = escaped or (multi if beyond else None)
        if other and (read := _strict(data, other)) is not None:
            return Decoded(read, other)
        return Decoded(text, "utf-8")
    return _decode_other(data, codecs_declared)


def _decode_other(data: bytes, declared: list[str]) -> Decoded:
    """Decode what is not valid UTF-8."""
    head = data[:_JUDGED]
    if len(head) - len(head.translate(None, _CONTROLS)) > MAX_CONTROLS * len(head):
        return Decoded(None, declared[0] if declared else "binary")
    east = sorted(_EAST_ASIAN, key=lambda name: name not in declared)  # stable; declared ones first
    best, best_text, best_score = "", "", 0.0
    for name in east:
        if (text := _strict(data, name)) is not None:
            score = _plausibility(text) * (1.5 if name in declared else 1.0)
            if score > max(best_score, _PLAUSIBLE):
                best, best_text, best_score = name, text, score
            if name in declared and score > 3 * _PLAUSIBLE:
                break
    if best:
        return Decoded(best_text, best)
    candidates = [*declared, *(name for name in [lookup(detect_encoding(data) or "")] if name), "cp1252"]
    for name in candidates:
        if (found := _replacing(data, name)).text is not None:
            return found
    return Decoded(None, candidates[0])


@lru_cache(maxsize=1024)
def lookup(label: str) -> str | None:
    """The Python codec for a charset label as the web means it, or None for a label that names no charset of the
    web."""
    label = label.strip().strip("\"'").lower()
    if label in _WEB:
        return _WEB[label]
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    name = _WEB.get(name, name)
    return name if name in _CODECS else None


def _labels(data: bytes, declared: str | None, html: bool) -> list[str]:
    labels = [declared] if declared else []
    if html:
        head = data[:_META_SCAN]
        labels += [found.group(1).decode("ascii") for pattern in (_META, _XML) if (found := pattern.search(head))]
    return labels


def _plausibility(text: str) -> float:
    """The share of very common East Asian characters among the characters beyond ASCII."""
    beyond = [char for char in text[:_JUDGED] if char > "\x7f"]
    return sum(char in _COMMON for char in beyond) / max(1, len(beyond))


def _strict(data: bytes, name: str) -> str | None:
    """The text where every byte is right, but for a character cut in two by the end of the page."""
    try:
        return codecs.getincrementaldecoder(name)().decode(data)
    except UnicodeDecodeError:
        return None


def _replacing(data: bytes, name: str) -> Decoded:
    """The text with U+FFFD for wrong bytes, or None where there are too many of them."""
    text = data.decode(name, "replace")
    if (wrong := text.count("\ufffd")) > 1:
        beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
        if wrong > MAX_REPLACED * beyond_ascii:
            return Decoded(None, name)
    return Decoded(text, name)


def _without_mark(data: bytes) -> str | None:
    """UTF-16 without a byte order mark: in the first 64 bytes, which are markup mostly, one half of each pair is zero
    and the other hardly ever is."""
    head = data[:64]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd >= _ZEROS and even * 4 <= odd:
        return "utf-16-le"
    if even >= _ZEROS and odd * 4 <= even:
        return "utf-16-be"
    return None
