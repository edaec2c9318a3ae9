"""The segmenter gives jieba's words, cut for cut."""

import itertools
import random
from pathlib import Path

import jieba
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus.linguistic.lexicon
from corpus.errors import HeadwaterError
from corpus.io.buffers import padded_views
from corpus.linguistic.characters import character_classes
from corpus.linguistic.chinese_words import cut, room
from corpus.linguistic.lexicon import lexicon
from corpus.linguistic.tokens import new_tokens
from tests.corpus.linguistic.test_measure import real_texts

jieba.setLogLevel("ERROR")
COMMON = "的一是了我不人在他有这上们来到时大地为子中你说生国年着就那和要她出也得里后自以会"
SIGNS = "aB0T5.1%-+#&_ 超c＆，。\n\t２㐀龥龦\u3000"


def words_of(texts: list[str]) -> list[list[str]]:
    longest = max((len(text.encode()) for text in texts), default=0)
    space, tokens = room(longest), new_tokens(longest)
    left = iter(texts)
    found = []
    for data, offsets in padded_views(pa.array(texts, pa.large_string())):
        for begin, end in itertools.pairwise(offsets):
            count = cut(data, begin, end, character_classes(), lexicon(), space, tokens)
            characters = "".join(next(left).split())
            found.append([characters[tokens.ends[i] : tokens.ends[i + 1]] for i in range(count)])
    return found


def assert_equal(texts: list[str]) -> None:
    for text, found in zip(texts, words_of(texts)):
        assert found == [word for word in jieba.cut(text) if not word.isspace()], repr(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.sampled_from(COMMON + SIGNS), max_size=40), min_size=1, max_size=4))
def test_equals_jieba_on_made_text(texts: list[str]) -> None:
    assert_equal(texts)


def test_equals_jieba_where_only_the_hidden_model_knows() -> None:
    chance = random.Random(1)
    assert_equal(
        ["".join(chr(chance.randint(0x4E00, 0x9FD5)) for _ in range(chance.randint(1, 12))) for _ in range(800)]
    )


@pytest.mark.parametrize("name", ["zh/lctt-articles", "zh/cmrc2018-wiki", "zh/oi-wiki", "en/18f-blog"])
def test_equals_jieba_on_real_documents(headwater_data: Path, name: str) -> None:
    assert_equal([text[:5000] for text in real_texts(headwater_data / f"text/{name}.jsonl.zst", 60)])


def test_no_first_character_passes_for_what_follows_another() -> None:
    words = lexicon()
    bases = words.cells["base"][words.cells["base"] > 0]
    assert (bases > words.numbers.max()).all()


def test_a_dictionary_too_large_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus.linguistic.lexicon, "_MOST_CELLS", 1 << 19)
    with pytest.raises(HeadwaterError, match=r"dict\.txt"):
        lexicon.__wrapped__()
