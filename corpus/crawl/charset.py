"""From the bytes of a page to text, when what the server says about them is missing or wrong.

The order of trust: a byte order mark. Then UTF-8 wherever the bytes are valid UTF-8, because hardly any text in another
encoding passes that test by chance, whatever is declared. Then what the page declares (the HTTP header, then `<meta>`)
as long as the result looks like text: a server's default of ISO-8859-1 decodes anything, and Big5 read as GBK gives
valid but absurd characters. So East Asian encodings are judged by the share of very common characters in what they
give. Labels mean what browsers take them to mean (WHATWG Encoding, section 4.2): the table is that of webencodings, and
GBK is decoded as GB18030 (section 10.1.1). docs/decisions/charset-labels.md has the choice.
"""

import codecs
import re
from typing import NamedTuple

import webencodings
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
        other = "iso2022_jp" if "iso2022_jp" in codecs_declared else (multi if beyond else None)
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


def lookup(label: str) -> str | None:
    """The Python codec of a charset label of the web, or None for any other label.

    None too for the labels that WHATWG decodes to nothing (`hz-gb-2312`, `iso-2022-kr`, `iso-2022-cn`) or to private
    characters (`x-user-defined`).
    """
    encoding = webencodings.lookup(label.strip(" \t\r\n\f\"'"))
    if encoding is None or encoding.name in ("replacement", "x-user-defined"):
        return None
    return "gb18030" if encoding.name == "gbk" else encoding.codec_info.name


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
