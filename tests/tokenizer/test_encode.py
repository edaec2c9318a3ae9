"""Encoding against the library: the same ids on every text; special tokens, long pretokens, files and refusals."""

import json
import random
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from corpus.errors import HeadwaterError
from tests.tokenizer.real_texts import MIXED, read_texts
from tests.tokenizer.test_pretokenizer import ALPHABET as LETTERS
from tokenizer import encode
from tokenizer.alphabet import NEVER_IN_UTF8, to_symbols
from tokenizer.cjk_boundaries import cut_clauses
from tokenizer.encode import Encoder
from tokenizer.initial_tokens import first_symbols
from tokenizer.pretoken_counts import PretokenCounter
from tokenizer.train import train
from tokenizer.vocabulary import BOS, EOS, Vocabulary, load_vocabulary


def make_vocabulary(texts: list[str], size: int, model_size: int | None = None) -> Vocabulary:
    counter = PretokenCounter()
    counter.add(pa.array(texts, pa.large_string()))
    return Vocabulary.from_merges(train(counter.result(), size, 1), model_size)


VOCABULARY = make_vocabulary(MIXED, 600)
ENCODER = Encoder(VOCABULARY, eos=False)
LIBRARY = VOCABULARY.build_tokenizer()
LIBRARY.encode_special_tokens = True  # text is text


def by_library(text: str) -> list[int]:
    return LIBRARY.encode(text, add_special_tokens=False).ids


def test_mixed_texts() -> None:
    for text in MIXED:
        assert ENCODER.encode(text).tolist() == by_library(text), text
        assert VOCABULARY.decode(ENCODER.encode(text)).decode() == text


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from([*LETTERS, *MIXED[0], *MIXED[1]]), max_size=80).map("".join) | st.text(max_size=60))
def test_any_text(text: str) -> None:
    assert ENCODER.encode(text).tolist() == by_library(text)


@pytest.mark.parametrize(
    "name", ["lid/lingua-testdata", "text/en/c4-demo", "text/zh/oi-wiki", "text/zh/laws-national", "code/go-std"]
)
def test_real_text(headwater_data: Path, name: str) -> None:
    texts = read_texts(headwater_data / f"{name}.jsonl.zst", 500_000)
    vocabulary = make_vocabulary(texts[::2], 4000)
    tokens, lengths = Encoder(vocabulary, eos=False).encode_column(pa.array(texts, pa.large_string()))
    library = vocabulary.build_tokenizer()
    expected = [item.ids for item in library.encode_batch(texts, add_special_tokens=False)]
    assert lengths.tolist() == [len(ids) for ids in expected]
    assert tokens.tolist() == [token for ids in expected for token in ids]


def test_documents_end_with_eos_and_may_begin_with_bos() -> None:
    column = pa.chunked_array([pa.array(["a b", None]), pa.array(["", "中"])])
    tokens, lengths = Encoder(VOCABULARY, bos=True).encode_column(column)
    parts = [[VOCABULARY.bos, *by_library(text), VOCABULARY.eos] for text in ("a b", "", "", "中")]
    assert tokens.tolist() == [token for part in parts for token in part]
    assert lengths.tolist() == [len(part) for part in parts]
    assert tokens.dtype == lengths.dtype == np.int32


def test_no_text_makes_a_special_token() -> None:
    text = f"x{EOS}y{BOS}{EOS} øü÷À"
    ids = ENCODER.encode(text)
    assert ids.max() < VOCABULARY.bos
    assert VOCABULARY.decode(ids).decode() == text


@pytest.mark.parametrize("unit", ["a", "ab ", " ", "中", "-", "\u0627", "é", "=!", "\u3000"])
def test_a_megabyte_without_a_cut_takes_no_quadratic_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit.encode()))
    ENCODER.encode(unit * 300)
    start = time.process_time()
    ids = ENCODER.encode(text)
    assert time.process_time() - start < 10
    assert ids.tolist() == by_library(text)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab中é", min_size=200, max_size=500))
def test_long_pretokens(text: str) -> None:
    pretoken = text.replace("é", "e")
    assert ENCODER.encode(pretoken).tolist() == by_library(pretoken)


@pytest.mark.parametrize("alphabet", ["ab", "中国人民", "\u0627\u0644 ", "=", "xyX"])
@pytest.mark.parametrize("size", [(1 << 16) - 1, 1 << 16, 200_001])
def test_pretokens_longer_than_a_window(alphabet: str, size: int) -> None:
    chance = random.Random(size)
    text = "".join(chance.choices(alphabet, k=size // len(alphabet[0].encode())))
    vocabulary = make_vocabulary([text[:5000]], 700)
    encoder, library = Encoder(vocabulary, eos=False), vocabulary.build_tokenizer()
    assert encoder.encode(text).tolist() == library.encode(text, add_special_tokens=False).ids


def test_tokens_longer_than_a_window() -> None:
    text = "a" * (1 << 19)
    vocabulary = make_vocabulary([text[: 1 << 18]], 243 + 17)
    assert max(len(token) for token in vocabulary.tokens) == 1 << 17
    for length in (1 << 17, (1 << 18) + 3, len(text)):
        expected = vocabulary.build_tokenizer().encode(text[:length]).ids
        assert Encoder(vocabulary, eos=False).encode(text[:length]).tolist() == expected


@pytest.mark.parametrize("megabytes", [10, pytest.param(100, marks=pytest.mark.soak)])
def test_memory_stays_bounded_on_a_document_without_a_cut(megabytes: int) -> None:
    """Beyond the text and 4 bytes a byte of it for ids there is no more than the encoder's own tables."""
    column = pa.array([b"ab" * (megabytes * 500_000)], pa.large_binary())
    encoder = Encoder(VOCABULARY, eos=False)
    encoder.encode("ab" * 100_000)
    before = peak_memory()
    tokens, _ = encoder.encode_column(column)
    assert peak_memory() - before < 6 * column.nbytes + 64_000_000
    assert sum(len(VOCABULARY.tokens[token]) * int(n) for token, n in zip(*np.unique_counts(tokens), strict=True)) == (
        megabytes * 1_000_000
    )


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# Few characters that share bytes, so that merges across the borders of characters come early and often.
SHARING = st.text(alphabet="中丮串么éèÃ，ề a", max_size=40)
# Clauses of a few ideographs, so that most neighbours stand side by side in some token, and of many, so that few do.
CLAUSES = st.text(alphabet="中国人民大会堂上海北京的了a，", max_size=60)


@settings(max_examples=150, deadline=None)
@given(st.lists(CLAUSES, min_size=1, max_size=4), st.integers(243, 330), st.lists(CLAUSES | SHARING, max_size=5))
def test_cutting_clauses_changes_nothing(training: list[str], size: int, texts: list[str]) -> None:
    vocabulary = make_vocabulary(training, size)
    library, encoder = vocabulary.build_tokenizer(), Encoder(vocabulary, eos=False)
    for text in [*training, *texts]:
        assert encoder.encode(text).tolist() == library.encode(text, add_special_tokens=False).ids


def test_clauses_are_cut_where_no_token_reaches_across() -> None:
    vocabulary = make_vocabulary(["中国 中国 人民 人民 中国人 中国人"], 300)
    encoder = Encoder(vocabulary)
    raw = "人民中国人".encode()
    data, cuts = np.frombuffer(raw + bytes(64), np.uint8), np.empty(8, np.int64)
    ends = np.array([len(raw)])
    count = cut_clauses(data, 0, ends, encoder._bridges, cuts)
    assert [raw[a:b].decode() for a, b in pairwise([0, *cuts[:count]])] == ["人民", "中国人"]
    assert cut_clauses(data, 0, ends, encoder._bridges, cuts[:1]) == 1


def test_more_parts_than_are_cut_at_once() -> None:
    chance = random.Random(0)
    clauses = ["".join(map(chr, chance.choices(range(0x4E00, 0x8FFF), k=chance.randrange(1, 30)))) for _ in range(900)]
    text = "".join(clause + chance.choice(["  a", "  ,", "   中", "  \n", " a", "  1", "，"]) for clause in clauses)
    vocabulary = make_vocabulary([" a  \n" * 9], 250)
    library, encoder = vocabulary.build_tokenizer(), Encoder(vocabulary, eos=False)
    assert encoder.encode(text).tolist() == library.encode(text, add_special_tokens=False).ids


@settings(max_examples=150, deadline=None)
@given(st.lists(SHARING, min_size=1, max_size=5), st.integers(243, 290), st.lists(SHARING, max_size=5))
def test_starting_from_characters_changes_nothing(training: list[str], size: int, texts: list[str]) -> None:
    vocabulary = make_vocabulary(training, size)
    library, encoder = vocabulary.build_tokenizer(), Encoder(vocabulary, eos=False)
    for text in [*training, *texts]:
        assert encoder.encode(text).tolist() == library.encode(text, add_special_tokens=False).ids


def test_characters_are_started_from_only_where_nothing_interferes() -> None:
    plain = make_vocabulary(["中 中 中"], 300)
    assert first_symbols(plain.tokens, plain.byte_ids, plain.pairs, plain.made)[ord("中")] >= 0
    left = VOCABULARY.byte_ids[0x61]  # "a" takes the first byte of 中 before its own bytes are joined
    lead, middle, last = (int(plain.byte_ids[byte]) for byte in "中".encode())
    tokens = (*plain.tokens[:243], b"a\xe4", b"\xe4\xb8", "中".encode())
    pairs = np.array([[left, lead], [lead, middle], [244, last]], np.int32)
    made = np.array([243, 244, 245], np.int32)
    assert first_symbols(tokens, plain.byte_ids, pairs, made)[ord("中")] == -1
    vocabulary = Vocabulary(tokens, pairs, made)
    library = vocabulary.build_tokenizer()
    for text in ("中", "中中", "中a", " 中"):
        assert Encoder(vocabulary, eos=False).encode(text).tolist() == library.encode(text).ids


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_come_back(rows: list[bytes]) -> None:
    tokens, lengths = ENCODER.encode_column(pa.array(rows, pa.large_binary()))
    bounds = np.cumsum([0, *lengths])
    assert [VOCABULARY.decode(tokens[a:b]) for a, b in pairwise(bounds)] == rows


def test_a_small_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    column = pa.array(MIXED * 3, pa.large_string())
    expected = [array.tolist() for array in Encoder(VOCABULARY, bos=True).encode_column(column)]
    monkeypatch.setattr(encode, "_SLOTS", 16)
    small = Encoder(VOCABULARY, bos=True)
    for _ in range(2):
        assert [array.tolist() for array in small.encode_column(column)] == expected


def test_the_layout_is_the_papers() -> None:
    vocabulary = make_vocabulary(MIXED, 500, 1024)
    assert (vocabulary.size, vocabulary.bos, vocabulary.eos, vocabulary.model_size) == (515, 500, 501, 1024)
    library = vocabulary.build_tokenizer()
    names = [library.id_to_token(number) for number in range(500, 515)]
    assert names == ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", *"øöúÿõ÷ûýÀùÁþü"]
    assert [vocabulary.decode([number]) for number in range(502, 515)] == [bytes([byte]) for byte in NEVER_IN_UTF8]
    assert library.encode(EOS).ids == [501]  # the library's own reading, for prompts
    assert 100_000 + 15 == 100_015 <= 102_400  # the paper's: 243 bytes and 99,757 merges, 15 special, padded


def test_files_load_everywhere_with_equal_ids(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    path = tmp_path / "tokenizer.json"
    VOCABULARY.save(str(path))
    loaded = load_vocabulary(str(path))
    assert (loaded.hash, loaded.tokens, loaded.model_size) == (
        VOCABULARY.hash,
        VOCABULARY.tokens,
        VOCABULARY.model_size,
    )
    auto = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
    plain = Tokenizer.from_file(str(path))
    for text in MIXED[:3]:
        expected = ENCODER.encode(text).tolist()
        assert plain.encode(text).ids == expected
        assert auto(text)["input_ids"] == fast(text)["input_ids"] == expected
        assert auto.decode(expected) == text
    assert (auto.bos_token_id, auto.eos_token_id, auto.pad_token_id) == (loaded.bos, loaded.eos, loaded.eos)
    assert len(auto) == VOCABULARY.size


def test_saving_twice_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_vocabulary(MIXED, 600).save(str(tmp_path / name / "tokenizer.json"))
    assert (tmp_path / "a/tokenizer.json").read_bytes() == (tmp_path / "b/tokenizer.json").read_bytes()


def _change(value: dict, what: str) -> None:  # type: ignore[type-arg]
    if what == "digits":
        value["pre_tokenizer"]["pretokenizers"][5]["individual_digits"] = False
    elif what == "regex":
        value["pre_tokenizer"]["pretokenizers"][1]["pattern"]["Regex"] = r"\s?\p{L}+"
    elif what == "model":
        value["model"]["type"] = "WordPiece"
    elif what == "suffix":
        value["model"]["end_of_word_suffix"] = "</w>"
    elif what == "added":
        value["added_tokens"].append(value["added_tokens"][0] | {"id": 614, "content": "<pad>"})
    elif what == "order":
        vocab = value["model"]["vocab"]
        vocab["!"], vocab["#"] = vocab["#"], vocab["!"]
    elif what == "merge":
        value["model"]["merges"][0] = ["ø", "a"]
        value["model"]["vocab"]["øa"] = value["model"]["vocab"].pop(to_symbols(VOCABULARY.tokens[599]))
        value["model"]["merges"] = value["model"]["merges"][:1]
    elif what == "twice":
        value["model"]["merges"].append(value["model"]["merges"][0])
    elif what == "shape":
        del value["model"]["vocab"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("digits", "does not split digits one by one"),
        ("regex", "pre-tokenizer is not the paper's"),
        ("model", "not a plain BPE model"),
        ("suffix", "not a plain BPE model"),
        ("added", "added tokens should be"),
        ("order", "does not begin with the 243 bytes"),
        ("merge", "joins or makes a special token"),
        ("twice", "some merge is listed twice"),
        ("shape", "not a byte-level BPE tokenizer.json"),
    ],
)
def test_other_tokenizers_are_refused(tmp_path: Path, what: str, message: str) -> None:
    path = tmp_path / "tokenizer.json"
    VOCABULARY.save(str(path))
    value = json.loads(path.read_text())
    _change(value, what)
    path.write_text(json.dumps(value))
    with pytest.raises(HeadwaterError, match=message):
        load_vocabulary(str(path))


def test_settings_that_are_no_settings_are_refused(tmp_path: Path) -> None:
    VOCABULARY.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(HeadwaterError, match="not the settings of a tokenizer"):
        load_vocabulary(str(tmp_path / "tokenizer.json"))


def test_a_missing_file_and_a_small_model_are_said(tmp_path: Path) -> None:
    with pytest.raises(HeadwaterError, match="no such file"):
        load_vocabulary(str(tmp_path / "x.json"))
    with pytest.raises(HeadwaterError, match="cannot hold"):
        make_vocabulary(MIXED, 500, 500)
