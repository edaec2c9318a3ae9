"""Training against the library's `BpeTrainer`: the same merges and the same vocabulary, ties included."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from corpus.io.buffers import utf8_buffers
from corpus.kernels.bytes_table import FIELDS, HASH
from tests.tokenizer.one_text import split
from tests.tokenizer.real_texts import MIXED, read_texts
from tokenizer.alphabet import ALPHABET, BYTES, NEVER_IN_UTF8, SYMBOLS, from_symbols, to_symbols
from tokenizer.pretoken_counts import SCHEMA, PretokenCounter, hash_rows, merge_counts
from tokenizer.pretokenizer import build_components
from tokenizer.train import _train, train


def count(texts: list[str]) -> pa.Table:
    counter = PretokenCounter()
    counter.add(pa.array(texts, pa.large_string()))
    return counter.result()


def as_counter(counts: pa.Table) -> Counter[str]:
    return Counter({row["pretoken"].decode(): row["count"] for row in counts.to_pylist()})


def assert_equal_to_library(texts: list[str], vocab_size: int, min_frequency: int) -> None:
    ours = train(count(texts), vocab_size, min_frequency)
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = build_components()
    alphabet = [SYMBOLS[byte] for byte in ALPHABET]
    options = {"vocab_size": vocab_size, "min_frequency": min_frequency, "initial_alphabet": alphabet}
    library.train_from_iterator(texts, trainers.BpeTrainer(show_progress=False, **options))
    model = json.loads(library.to_str())["model"]
    names = [to_symbols(token) for token in ours.tokens]
    assert [(names[left], names[right]) for left, right in ours.pairs.tolist()] == list(map(tuple, model["merges"]))
    assert {name: number for number, name in enumerate(names)} == model["vocab"]
    assert [names[made] for made in ours.made] == ["".join(pair) for pair in model["merges"]]


def test_the_alphabet_is_the_librarys() -> None:
    assert set(SYMBOLS.values()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert len(ALPHABET) == 256 - len(NEVER_IN_UTF8) == 243
    assert sorted(NEVER_IN_UTF8) == [0xC0, 0xC1, *range(0xF5, 0x100)]
    assert bytes(range(256)) == from_symbols(to_symbols(bytes(range(256))))
    assert len(BYTES) == 256


def test_small_texts_with_ties() -> None:
    assert_equal_to_library(["hello hello world"] * 3, 260, 0)
    assert_equal_to_library(["aaaaaaaa aaaaa aaa aaaa baaaab abababab abab"], 400, 0)
    assert_equal_to_library(MIXED, 900, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(alphabet="aab cé中\u3000.1\n", max_size=80), min_size=1, max_size=6),
    st.integers(243, 330),
    st.integers(0, 3),
)
def test_any_text(texts: list[str], vocab_size: int, min_frequency: int) -> None:
    assert_equal_to_library(texts, vocab_size, min_frequency)


@pytest.mark.parametrize(("vocab_size", "min_frequency"), [(1000, 2), (5000, 2), (60_000, 0)])
def test_real_text(headwater_data: Path, vocab_size: int, min_frequency: int) -> None:
    texts = [
        text
        for name in ("text/en/c4-demo", "text/zh/cmrc2018-wiki", "code/python-stdlib", "lid/lingua-testdata")
        for text in read_texts(headwater_data / f"{name}.jsonl.zst", 150_000)
    ]
    assert_equal_to_library(texts, vocab_size, min_frequency)


def test_counts_beyond_32_bits() -> None:
    """The library adds up in 32 bits and would take the rarer pair here."""
    rows = {"pretoken": [b"ab", b"cd"], "count": [2**33, 2**32 + 5]}
    merges = train(pa.table(rows, schema=SCHEMA), 245)
    assert merges.tokens[243:] == [b"ab", b"cd"]


def test_counts_are_those_of_the_pretokens() -> None:
    expected = Counter(pretoken for text in MIXED for pretoken in split(text))
    assert as_counter(count(MIXED)) == expected


def test_counts_grow_over_many_pretokens_and_columns() -> None:
    chance = random.Random(3)
    texts = ["".join(chance.choice("abcdefgh ") for _ in range(2000)) for _ in range(300)]
    counter = PretokenCounter()
    for first in range(0, len(texts), 7):
        counter.add(pa.chunked_array([pa.array(texts[first : first + 7])]))
    assert as_counter(counter.result()) == Counter(pretoken for text in texts for pretoken in split(text))


def test_a_very_long_pretoken_is_counted() -> None:
    text = "x" * 3_000_000
    assert as_counter(count([text, text, "y"])) == Counter({text: 2, "y": 1})


def test_counts_add_up_by_shard() -> None:
    halves = [count(MIXED[::2]), count(MIXED[1::2])]
    whole = count(MIXED)
    assert merge_counts(halves).equals(whole)
    assert as_counter(merge_counts(halves, 2)) == {k: n for k, n in as_counter(whole).items() if n >= 2}


def test_pretokens_that_share_a_hash_are_ordered_by_their_bytes() -> None:
    expected = [row["pretoken"] for row in count(MIXED).to_pylist()]
    counter = PretokenCounter()
    for text in reversed(MIXED):
        counter.add(pa.array([text]))
    slots = counter._slots.reshape(-1, FIELDS)
    slots[:, HASH] &= 3  # as if all pretokens had one of four hashes
    counts = counter.result()
    hashes = {
        pretoken: int(number) & 3 for pretoken, number in zip(expected, hash_rows(*utf8_buffers(pa.array(expected))))
    }
    assert counts["pretoken"].to_pylist() == sorted(expected, key=lambda pretoken: (hashes[pretoken], pretoken))


def test_one_kernel_serves_tables_of_one_and_of_many_chunks() -> None:
    """A second compilation, for arrays that are read-only, would take a quarter of a minute in some tasks."""
    whole = count(MIXED)
    merges = [train(counts, 400).pairs.tolist() for counts in (whole, pa.concat_tables([whole[:5], whole[5:]]))]
    assert merges[0] == merges[1]
    assert len(_train.signatures) == 1


def test_a_vocabulary_below_the_alphabet_is_refused() -> None:
    with pytest.raises(ValueError, match="243"):
        train(count(["a"]), 100)


def test_nothing_to_train_on() -> None:
    merges = train(count([]), 500)
    assert len(merges.tokens) == 243
    assert merges.pairs.shape == (0, 2)
    assert np.array_equal(merges.made, np.zeros(0, np.int32))
