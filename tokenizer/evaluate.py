"""How well a tokenizer fits a text: bytes of text that one token stands for, by language and by domain; and what its
vocabulary is made of.

More bytes per token are better: a model sees more text in the same context and the same compute. Sums are kept rather
than ratios, so that shards add up. Other tokenizers are measured on the same text through the `tokenizers` library."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from corpus.errors import HeadwaterError
from tokenizer.vocabulary import Vocabulary

_SMALLEST = 8_000  # tokens of the smallest vocabulary in a sweep of sizes


def sum_by(
    names: Sequence[str], num_bytes: npt.NDArray[np.int64], num_tokens: npt.NDArray[np.int64]
) -> dict[str, dict[str, int]]:
    """Documents, bytes and tokens of each name: `{name: {"documents", "bytes", "tokens"}}`, names sorted."""
    rows = pa.table({"name": pa.array(names, pa.string()), "bytes": num_bytes, "tokens": num_tokens})
    sums = rows.group_by("name", use_threads=False).aggregate([("bytes", "count"), ("bytes", "sum"), ("tokens", "sum")])
    return {
        row["name"]: {"documents": row["bytes_count"], "bytes": row["bytes_sum"], "tokens": row["tokens_sum"]}
        for row in sorted(sums.to_pylist(), key=lambda row: row["name"])
    }


def fertility(sums: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """The sums of each name, and `bytes_per_token` with them; names without tokens are left out."""
    return {
        name: {**row, "bytes_per_token": row["bytes"] / row["tokens"]}
        for name, row in sorted(sums.items())
        if row["tokens"]
    }


def load_reference(name: str, path: str) -> Tokenizer:
    """Another tokenizer's `tokenizer.json`; raise HeadwaterError where the library cannot read it."""
    try:
        reference = Tokenizer.from_file(path)
    except Exception as error:  # the library raises Exception itself
        raise HeadwaterError(f"{path}: not a tokenizer.json, so {name} cannot be compared with ({error})") from None
    reference.encode_special_tokens = True
    return reference


def reference_lengths(reference: Tokenizer, texts: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """How many tokens each text has with another tokenizer, without special tokens: int64[rows]."""
    encoded = reference.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
    return np.array([len(item) for item in encoded], np.int64)


def sweep_sizes(size: int) -> list[int]:
    """The smaller sizes at which a vocabulary of `size` conventional tokens is measured: doublings of 8,000."""
    sizes = []
    smaller = _SMALLEST
    while smaller < size:
        sizes.append(smaller)
        smaller *= 2
    return sizes


def cut_vocabulary(vocabulary: Vocabulary, size: int) -> Vocabulary:
    """The first `size` conventional tokens: what training on the same counts gives for that size."""
    later = np.flatnonzero(vocabulary.made >= size)
    ranks = int(later[0]) if len(later) else len(vocabulary.made)
    return Vocabulary(vocabulary.tokens[:size], vocabulary.pairs[:ranks], vocabulary.made[:ranks])


def script_of(token: bytes) -> str:
    """The script of a token's letters as Unicode names it (`latin`, `cjk` ...), `mixed` where there are several;
    without letters `digits`, `blanks` or `symbols`; `part of a character` where it is not UTF-8."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return "part of a character"
    names = {unicodedata.name(letter, "OTHER").split()[0].lower() for letter in text if letter.isalpha()}
    names = {"latin" if name in ("fullwidth", "micro", "feminine", "masculine") else name for name in names}
    if len(names) > 1:
        return "mixed"
    if names:
        return names.pop()
    if text.isspace():
        return "blanks"
    return "digits" if any(letter.isnumeric() for letter in text) else "symbols"


def count_scripts(tokens: Sequence[bytes]) -> dict[str, int]:
    """How many tokens each script has, most first."""
    return dict(sorted(Counter(map(script_of, tokens)).items(), key=lambda item: (-item[1], item[0])))


def longest_tokens(tokens: Sequence[bytes], count: int = 20) -> list[str]:
    """The tokens of the most bytes that hold a letter or a number, longest first."""
    texts = (token.decode("utf-8", "replace") for token in sorted(tokens, key=lambda token: (-len(token), token)))
    worded = (text for text in texts if any(letter.isalnum() for letter in text))
    return [text for text, _ in zip(worded, range(count), strict=False)]


def unused_tokens(vocabulary: Vocabulary, usage: npt.NDArray[np.int64], count: int = 20) -> dict[str, Any]:
    """How many conventional tokens never came up, given how often each did (int64[conventional tokens]), and those of
    the lowest ids, which were frequent in training."""
    unused = np.flatnonzero(usage == 0)
    examples = [vocabulary.tokens[token].decode("utf-8", "replace") for token in unused[:count].tolist()]
    return {"count": len(unused), "share": len(unused) / len(usage), "examples": examples}
