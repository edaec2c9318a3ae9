"""The character classes of the paper's pre-tokenizer, and the table that maps a code point to its class.

The regexes are those of deepseek-llm-7b-base's `tokenizer.json`. Their classes overlap: `:-~` in the punctuation holds
the ASCII letters, the CJK range holds Vietnamese vowels, curly quotes and wide spaces. What matters to the scanner is
which of the sets a character is in, and only the combinations below occur (`class_table` fails on any other)."""

from functools import cache

import numpy as np
import numpy.typing as npt

# The sets as they stand inside the regexes' brackets.
NEWLINES = "\r\n"
LETTERS = (
    "A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377"
    "\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556"
    "\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4"
    "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
    "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
    "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b"
    "\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)
PUNCTUATION = "!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002"
CJK = "\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff"
# `\s` of Oniguruma, the regex engine of `tokenizers`: Unicode's White_Space.
SPACES = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# `char::is_numeric` of Rust, which `Digits` uses: the categories Nd, Nl and No of Unicode 17, as hexadecimal ranges.
NUMERIC = """30-39 b2-b3 b9 bc-be 660-669 6f0-6f9 7c0-7c9 966-96f 9e6-9ef 9f4-9f9 a66-a6f ae6-aef b66-b6f b72-b77
be6-bf2 c66-c6f c78-c7e ce6-cef d58-d5e d66-d78 de6-def e50-e59 ed0-ed9 f20-f33 1040-1049 1090-1099
1369-137c 16ee-16f0 17e0-17e9 17f0-17f9 1810-1819 1946-194f 19d0-19da 1a80-1a89 1a90-1a99 1b50-1b59
1bb0-1bb9 1c40-1c49 1c50-1c59 2070 2074-2079 2080-2089 2150-2182 2185-2189 2460-249b 24ea-24ff 2776-2793
2cfd 3007 3021-3029 3038-303a 3192-3195 3220-3229 3248-324f 3251-325f 3280-3289 32b1-32bf a620-a629
a6e6-a6ef a830-a835 a8d0-a8d9 a900-a909 a9d0-a9d9 a9f0-a9f9 aa50-aa59 abf0-abf9 ff10-ff19 10107-10133
10140-10178 1018a-1018b 102e1-102fb 10320-10323 10341 1034a 103d1-103d5 104a0-104a9 10858-1085f
10879-1087f 108a7-108af 108fb-108ff 10916-1091b 109bc-109bd 109c0-109cf 109d2-109ff 10a40-10a48
10a7d-10a7e 10a9d-10a9f 10aeb-10aef 10b58-10b5f 10b78-10b7f 10ba9-10baf 10cfa-10cff 10d30-10d39
10d40-10d49 10e60-10e7e 10f1d-10f26 10f51-10f54 10fc5-10fcb 11052-1106f 110f0-110f9 11136-1113f
111d0-111d9 111e1-111f4 112f0-112f9 11450-11459 114d0-114d9 11650-11659 116c0-116c9 116d0-116e3
11730-1173b 118e0-118f2 11950-11959 11bf0-11bf9 11c50-11c6c 11d50-11d59 11da0-11da9 11de0-11de9
11f50-11f59 11fc0-11fd4 12400-1246e 16130-16139 16a60-16a69 16ac0-16ac9 16b50-16b59 16b5b-16b61
16d70-16d79 16e80-16e96 16ff4-16ff6 1ccf0-1ccf9 1d2c0-1d2d3 1d2e0-1d2f3 1d360-1d378 1d7ce-1d7ff
1e140-1e149 1e2f0-1e2f9 1e4f0-1e4f9 1e5f1-1e5fa 1e8c7-1e8cf 1e950-1e959 1ec71-1ecab 1ecad-1ecaf
1ecb1-1ecb4 1ed01-1ed2d 1ed2f-1ed3d 1f100-1f10c 1fbf0-1fbf9"""

TABLE_SIZE = 0x20000  # no code point past plane 1 is in any of the sets

# Classes. LETTER_* are in LETTERS, SPACE* in SPACES; "CJK" in a name: also in the CJK set.
OTHER = 0  # in none of the sets: Arabic, Hebrew, emoji, control characters ...
CJK_ONLY = 1
NUMBER = 2  # in NUMERIC; some are also in CJK, which makes no difference to where pretokens end
NEWLINE = 3
SPACE = 4
SPACE_CJK = 5
LETTER_PUNCT = 6  # ASCII and full-width letters: in LETTERS and in PUNCTUATION
LETTER = 7
LETTER_CJK = 8
PUNCT = 9
PUNCT_CJK = 10
SPACE_PUNCT = 11  # U+3000 alone: space, punctuation and CJK
END = 12  # not a character: the end of the document

_COMBINATIONS = {
    "": OTHER, "C": CJK_ONLY, "N": NUMBER, "CN": NUMBER, "RS": NEWLINE, "S": SPACE, "CS": SPACE_CJK,
    "LP": LETTER_PUNCT, "L": LETTER, "CL": LETTER_CJK, "P": PUNCT, "CP": PUNCT_CJK, "CPS": SPACE_PUNCT,
}  # fmt: skip


def members(bracket: str) -> list[int]:
    """The code points of a bracket's content, such as `a-z_`."""
    found: list[int] = []
    at = 0
    while at < len(bracket):
        last = at + 2 if bracket[at + 1 : at + 2] == "-" and at + 2 < len(bracket) else at
        found.extend(range(ord(bracket[at]), ord(bracket[last]) + 1))
        at = last + 1
    return found


def numeric() -> list[int]:
    """The code points of NUMERIC."""
    bounds = [[int(bound, 16) for bound in item.split("-")] for item in NUMERIC.split()]
    return [code for bound in bounds for code in range(bound[0], bound[-1] + 1)]


@cache
def class_table() -> npt.NDArray[np.uint8]:
    """The class of each code point below TABLE_SIZE: uint8[TABLE_SIZE], read-only; those above are OTHER."""
    sets = {"C": members(CJK), "L": members(LETTERS), "N": numeric(), "P": members(PUNCTUATION)}
    sets |= {"R": members(NEWLINES), "S": members(SPACES)}
    bits = np.zeros(TABLE_SIZE, np.uint8)
    for bit, codes in enumerate(sets.values()):
        bits[codes] |= 1 << bit
    classes = np.zeros(TABLE_SIZE, np.uint8)
    for value in np.unique(bits):
        names = "".join(name for bit, name in enumerate(sets) if value >> bit & 1)
        classes[bits == value] = _COMBINATIONS[names]
    classes.flags.writeable = False
    return classes
