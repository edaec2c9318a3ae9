"""Every linguistic signal in plain Python, straight from its definition: what the kernels must equal."""

import math
import re
import unicodedata
from collections import Counter
from itertools import pairwise

import jieba

from corpus.linguistic.characters import PUNCTUATION, TERMINALS
from corpus.linguistic.quality import STOP_WORDS

jieba.setLogLevel("ERROR")
_SYMBOLS = set(PUNCTUATION) | set(TERMINALS)
_IDEOGRAPHIC = (  # ideographs, kana, bopomofo
    *((0x3005, 0x3007), (0x3041, 0x3096), (0x309D, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x312F), (0x31A0, 0x31BF)),
    *((0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)


def is_alone(character: str) -> bool:
    """Whether a character, or the one it is a compatibility form of (half-width kana), is ideographic."""
    bare = [c for c in unicodedata.normalize("NFKD", character) if unicodedata.category(c) not in ("Mn", "Me")]
    code = ord(bare[0] if len(bare) == 1 else character)
    return any(first <= code <= last for first, last in _IDEOGRAPHIC)


def is_han(character: str) -> bool:
    code = ord(character)
    ranges = ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
    return any(first <= code <= last for first, last in ranges)


def is_symbol(character: str) -> bool:
    return character in _SYMBOLS or ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0


def tokens_of(text: str) -> list[str]:
    """White-space words, ideographs apart."""
    tokens = []
    for word in text.split():
        run = ""
        for character in word:
            if is_alone(character):
                tokens += [run, character] if run else [character]
                run = ""
            else:
                run += character
        if run:
            tokens.append(run)
    return tokens


def gaps_of(text: str) -> list[bool]:
    """For each token but the first: whether white space stands before it."""
    gaps: list[bool] = []
    for word in text.split():
        gaps += [True] + [False] * (len(tokens_of(word)) - 1)
    return gaps[1:]


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def paragraphs_of(text: str) -> list[str]:
    stripped = "\n".join(line.strip() for line in text.split("\n"))
    return [part for part in re.split(r"\n{2,}", stripped.strip("\n")) if part]


def _duplicates(parts: list[str]) -> tuple[int, int]:
    """(elements met before, their characters): datatrove's find_duplicates."""
    repeated = [part for index, part in enumerate(parts) if part in parts[:index]]
    return len(repeated), sum(map(len, repeated))


def _top(tokens: list[str], gaps: list[bool], n: int, characters: int) -> float:
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    if not grams:
        return 0.0
    gram, count = Counter(grams).most_common(1)[0]
    at = grams.index(gram)
    return count * (sum(map(len, gram)) + sum(gaps[at : at + n - 1])) / characters


def _duplicate(tokens: list[str], n: int, characters: int) -> float:
    met: set[tuple[str, ...]] = set()
    index = repeated = 0
    while index < len(tokens) - n + 1:
        gram = tuple(tokens[index : index + n])
        if gram in met:
            repeated += sum(map(len, gram))
            index += n
        else:
            met.add(gram)
            index += 1
    return repeated / characters


def _bracketed(text: str) -> int:
    return sum(len(inside) for inside in re.findall("【(.*?)】", text))


def signals_of(text: str) -> dict[str, float]:
    tokens, lines, paragraphs, characters = tokens_of(text), lines_of(text), paragraphs_of(text), len(text)
    gaps = gaps_of(text)
    han = [character for character in text if is_han(character)]
    if han and len(han) >= 0.1 * sum(not character.isspace() and not is_symbol(character) for character in text):
        chinese = [word for word in jieba.cut(text) if not word.isspace()]
        if len(chinese) <= len(text.encode()) // 2:
            tokens, gaps = chinese, [True] * len(chinese)
    words = [token for token in tokens if any(not is_symbol(character) for character in token)]
    content = [character for character in text if not character.isspace() and not is_symbol(character)]
    line_repeats, paragraph_repeats = _duplicates(lines), _duplicates(paragraphs)
    ellipses = text.count("...") + text.count("…")
    ends = [line.endswith(("...", "…")) for line in lines]
    terminals = [character in TERMINALS for character in text]
    sentences = sum(here and not before for before, here in pairwise([False, *terminals]))
    counts = Counter(tokens)

    def over(value: float, base: float) -> float:
        return value / base if base else 0.0

    return {
        "words": len(words),
        "mean_word_length": over(sum(map(len, words)), len(words)),
        "number_signs_per_word": over(text.count("#"), len(tokens)),
        "ellipses_per_word": over(ellipses, len(tokens)),
        "alphabetic_words": over(sum(any(map(str.isalpha, token)) for token in tokens), len(tokens)),
        "stop_words_en": len(set(STOP_WORDS["en"]) & set(tokens)),
        "stop_words_zh": len(set(STOP_WORDS["zh"]) & set(tokens)),
        "lines": len(lines),
        "mean_line_length": over(sum(map(len, lines)), len(lines)),
        "bullet_lines": over(sum(line.startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_lines": over(sum(ends), len(lines)),
        "finished_lines": over(sum(line[-1] in TERMINALS for line in lines), len(lines)),
        "short_lines": over(sum(len(line) <= 30 for line in lines), len(lines)),
        "line_breaks_per_word": over(max(len(lines) - 1, 0), len(tokens)),
        "duplicate_lines": over(line_repeats[0], len(lines)),
        "duplicate_line_characters": over(line_repeats[1], characters),
        "duplicate_paragraphs": over(paragraph_repeats[0], len(paragraphs)),
        "duplicate_paragraph_characters": over(paragraph_repeats[1], characters),
        "repeated_line_characters": over(line_repeats[1], len(text.replace("\n", ""))),
        "unique_tokens": over(len(counts), len(tokens)),
        "unigram_entropy": -sum(c / len(tokens) * math.log(c / len(tokens)) for c in counts.values()),
        **{f"top_{n}_gram": _top(tokens, gaps, n, characters) for n in (2, 3, 4)},
        **{f"duplicate_{n}_gram": _duplicate(tokens, n, characters) if characters else 0.0 for n in range(5, 11)},
        "characters": characters,
        "sentences": sentences,
        "mean_sentence_length": characters / max(sentences, 1),
        "han": over(sum(map(is_han, content)), len(content)),
        "digits": over(sum(character.isdecimal() and not is_han(character) for character in content), len(content)),
        "bracketed": over(_bracketed(text), characters),
        **c4_of(lines),
    }


def c4_of(lines: list[str]) -> dict[str, float]:
    """C4's line rules, written after tensorflow/datasets c4_utils.py."""
    policies = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
    found = {"javascript": 0, "policy": 0, "lorem ipsum": 0, "{": 0, "few": 0, "kept": 0, "sentences": 0}
    longest = 0
    for line in lines:
        words = line.split()
        lower = re.sub("[A-Z]", lambda match: match[0].lower(), line)
        policy = any(phrase in lower for phrase in policies)
        for name in ("javascript", "lorem ipsum", "{"):
            found[name] += name in lower
        found["policy"] += policy
        found["few"] += len(words) < 3
        longest = max(longest, *map(len, words))
        bare = re.sub(r"\[[0-9]*]|\[edit]|\[citation needed]", "", line)
        ends = bare.endswith((".", "?", "!", '"', "'")) and not bare.endswith("...")
        if ends and len(words) >= 3 and max(map(len, words)) <= 1000 and "javascript" not in lower and not policy:
            found["kept"] += 1
            found["sentences"] += sum((word.rstrip("\"')]") or word[0])[-1] in ".?!" for word in words)
    share = {name: number / len(lines) if lines else 0.0 for name, number in found.items()}
    return {
        "javascript_lines": share["javascript"],
        "policy_lines": share["policy"],
        "lorem_ipsum": found["lorem ipsum"],
        "curly_brackets": found["{"],
        "few_word_lines": share["few"],
        "longest_word": longest,
        "c4_lines": share["kept"],
        "c4_sentences": found["sentences"],
    }
