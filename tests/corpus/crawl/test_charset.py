"""Decoding pages with right, wrong and missing declarations."""

import codecs
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webencodings.labels import LABELS

from corpus.crawl.charset import decode, lookup

SIMPLIFIED = "中文网页的字符编码常常是错误的，我们需要从内容本身来判断它到底是什么编码。" * 3
TRADITIONAL = "繁體中文網頁的字元編碼常常是錯誤的，我們需要從內容本身來判斷它到底是什麼編碼。" * 3
HONG_KONG = "香港嘅網頁成日用大五碼，㗎、咗、嗰啲字要用增補字符集先至寫到，我哋都係咁用。" * 3
JAPANESE = "日本語のウェブページは文字コードの判定が必要になることがよくあります。" * 3
KOREAN = "한국어 웹 페이지의 인코딩을 판별하는 방법은 여러 가지가 있고 그 결과는 다를 수 있습니다. " * 3
CASES = [
    ("gb18030", SIMPLIFIED, "gb18030"),
    ("gbk", SIMPLIFIED, "gb18030"),
    ("gb2312", SIMPLIFIED, "gb18030"),
    ("big5", TRADITIONAL, "big5hkscs"),
    ("big5hkscs", HONG_KONG, "big5hkscs"),
    ("shift_jis", JAPANESE, "cp932"),
    ("euc_jp", JAPANESE, "euc_jp"),
    ("euc_kr", KOREAN, "cp949"),
    ("utf-8", SIMPLIFIED, "utf-8"),
]


@pytest.mark.parametrize("declared", [None, "iso-8859-1", "utf-8", "nonsense", "hex", "right", "right meta"])
@pytest.mark.parametrize(("encoding", "text", "name"), CASES)
def test_east_asian_pages_are_read_whatever_is_declared(encoding, text, name, declared):
    meta = f'<meta charset="{encoding}">' if declared == "right meta" else ""
    header = encoding if declared == "right" else "iso-8859-1" if declared == "right meta" else declared
    html = f"<html><head>{meta}</head><body><p>{text}</p></body></html>"
    assert decode(html.encode(encoding), header) == (html, name)


@pytest.mark.parametrize(("encoding", "text", "name"), [CASES[0], CASES[3]])
@pytest.mark.parametrize("wrong", ["gbk", "big5", "shift_jis", "euc-kr"])
def test_chinese_declared_as_another_encoding(encoding, text, name, wrong):
    assert decode(text.encode(encoding), wrong) == (text, name)


def test_four_byte_characters_of_gb18030():
    text = "生僻字如𠮷野家的𠮷，以及藏文བོད，都在这个编码里，而旧的编码里是没有的。" * 2
    assert decode(text.encode("gb18030"), "gb2312") == (text, "gb18030")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Ceci est une page en français, où l’on trouve des caractères accentués à foison. " * 5),
        ("cp1251", "Привет, мир. Это страница на русском языке, и она достаточно длинная для проверки. " * 5),
        ("koi8-r", "Привет, мир. Это страница на русском языке, и она достаточно длинная для проверки. " * 5),
    ],
)
@pytest.mark.parametrize("declared", [None, "utf-8", "right"])
def test_single_byte_pages(encoding, text, declared):
    assert decode(text.encode(encoding), encoding if declared == "right" else declared).text == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_with_and_without_a_mark(encoding):
    html = f"<html><body>{SIMPLIFIED}</body></html>"
    assert decode(html.encode(encoding), "gbk").text == html


def test_iso_2022_jp_is_ascii_with_escapes():
    assert decode(JAPANESE.encode("iso2022_jp"), "iso-2022-jp").text == JAPANESE


def test_a_short_gbk_text_that_is_valid_utf8_too():
    data = "小小".encode("gbk")
    assert data.decode() == "СС"  # Cyrillic, to the eyes of UTF-8
    assert decode(data, "gbk").text == "小小"
    assert decode("café".encode(), "iso-8859-1").text == "café"


def test_a_page_cut_inside_a_character():
    data = SIMPLIFIED.encode()[:-1]
    assert decode(data, "utf-8").text == SIMPLIFIED[:-1] + "\ufffd"
    assert decode(SIMPLIFIED.encode("gbk")[:-1], "gbk").text == SIMPLIFIED[:-1]


def test_a_few_wrong_bytes_are_replaced():
    data = SIMPLIFIED.encode() + b"\xff" + SIMPLIFIED.encode()
    assert decode(data, "utf-8") == (SIMPLIFIED + "\ufffd" + SIMPLIFIED, "utf-8")


def test_binary_is_no_text():
    noise = random.Random(7).randbytes(20_000)
    for declared in (None, "utf-8", "gbk", "iso-8859-1"):
        assert decode(noise, declared).text is None


@given(st.binary(max_size=400), st.sampled_from([None, "utf-8", "gbk", "big5", "iso-8859-1", "utf-16", "x" * 50]))
def test_anything_is_decoded_or_refused(data, declared):
    found = decode(data, declared)
    assert found.charset == "binary" or codecs.lookup(found.charset).name == found.charset
    if found.text is not None:
        found.text.encode("utf-8")


@pytest.mark.parametrize("label", ["hex", "rot13", "utf-7", "idna", "unicode_escape", "undefined", "zlib", "", "\0"])
def test_codecs_that_are_no_charset_of_the_web(label):
    assert lookup(label) is None


def test_labels_mean_what_browsers_take_them_to_mean():
    assert [lookup(label) for label in ("GB2312", " 'gbk' ", "Big5", "latin1", "us-ascii", "EUC-KR", "Shift_JIS")] == [
        "gb18030", "gb18030", "big5hkscs", "cp1252", "cp1252", "cp949", "cp932"
    ]  # fmt: skip


@pytest.mark.parametrize("label", ["hz-gb-2312", "iso-2022-kr", "x-user-defined", "utf_8", "cp949", "mac-roman"])
def test_labels_that_browsers_do_not_decode_or_know(label):
    assert lookup(label) is None


def test_every_label_of_whatwg_has_its_decoder():
    undecoded = {label for label in LABELS if lookup(label) is None}
    assert {LABELS[label] for label in undecoded} == {"replacement", "x-user-defined"}
    assert all("十".encode(lookup(label)) for label, name in LABELS.items() if name in ("gbk", "gb18030", "big5"))
    assert "㗎".encode(lookup("big5")).decode("big5hkscs") == "㗎"
    assert b"\x80".decode(lookup("iso-8859-1")) == "€"
