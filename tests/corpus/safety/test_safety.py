"""Personal data, trades and lists of places: what is found, what is left alone, and where."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import UsageError
from corpus.kernels.words import words_of
from corpus.safety.lexicon import TRADES, phrases
from corpus.safety.lists import UrlList, read_list
from corpus.safety.personal import KINDS, personal_spans
from corpus.safety.signals import SIGNALS, trade_shares


def personal(*texts: str) -> list[list[tuple[str, str]]]:
    """`(kind, text)` of each span of each document."""
    found = personal_spans(pa.array(texts, pa.large_string()))
    spans = zip(found.starts.tolist(), found.ends.tolist(), found.kinds.to_pylist())
    flat = list(spans)
    return [
        [
            (kind, text.encode()[start:end].decode())
            for start, end, kind in flat[found.offsets[i] : found.offsets[i + 1]]
        ]
        for i, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "jane.doe+list@mail.bar-corp.co.uk"),
        ("email", "1215412538@qq.com"),
        ("phone", "13800138000"),
        ("phone", "+86 138 0013 8000"),
        ("phone", "138-0013-8000"),
        ("phone", "010-62345678"),
        ("phone", "(0755) 86013388"),
        ("phone", "0755-8888 8888"),
        ("phone", "021-6275-1234"),
        ("phone", "415-555-2671"),
        ("phone", "1 (212) 555-0123"),
        ("phone", "+1.415.555.2671"),
        ("phone", "+44 20 7946 0958"),
        ("phone", "+4915123456789"),
        ("id_number", "11010519491231002X"),
        ("id_number", "440308199901101512"),
        ("id_number", "078-05-1120"),
        ("id_number", "4111 1111 1111 1111"),
        ("id_number", "378282246310005"),
        ("id_number", "6222021234567890128"),
        ("ip", "203.119.25.1"),
        ("ip", "2001:4860:4860::8888"),
    ],
)
def test_finds(kind: str, text: str) -> None:
    for around in ("{}", "call {}, please", "联系方式：{}。", "<b>{}</b>", "a\n{}\nb", "({})"):
        assert personal("nothing", around.format(text), "")[1] == [(kind, text.lstrip("("))] or text.startswith("(")


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png and user@localhost, foo@example.com, bar@sub.example.org, a@b.test",
        "from 2021-03-25 10:20:30 to 2022/04/01, pages 1-800, 3.14159265358979",
        "440308199901101513 and 110105194913310021 have a wrong checksum or month",
        "4111 1111 1111 1112 is no card, 000-12-3456 and 666-12-3456 no number",
        "192.168.1.1, 127.0.0.1, 10.0.0.1, 192.0.2.7, version 1.2.3.4 and 1.2.3.4.5, 999.1.1.1",
        "std::vector<int>::iterator, 12:30:45, fe80::1, ::1",
        "runs/14871501014, id=13800138000, x13800138000, 138001380001",
        "1234567890 4155552671 2 500 500 4096",
        "in 2019 there were 1,234,567 of them, 25 000 000 in all",
    ],
)
def test_leaves_alone(text: str) -> None:
    assert personal(text) == [[]]


@settings(deadline=None)
@given(st.lists(st.text(alphabet="1380 -+.()@ab:xX中。/", max_size=80), max_size=5))
def test_spans_are_sorted_and_inside(texts: list[str]) -> None:
    found = personal_spans(pa.array(texts, pa.large_string()))
    assert len(found.offsets) == len(texts) + 1
    assert set(found.kinds.to_pylist()) <= set(KINDS)
    for i, text in enumerate(texts):
        at = 0
        for j in range(found.offsets[i], found.offsets[i + 1]):
            assert at <= found.starts[j] < found.ends[j] <= len(text.encode())
            at = found.ends[j]
            text.encode()[found.starts[j] : found.ends[j]].decode()


@settings(deadline=None)
@given(st.lists(st.text(alphabet="138 @a.:", max_size=60), min_size=1, max_size=4))
def test_what_is_found_does_not_depend_on_the_neighbours(texts: list[str]) -> None:
    assert personal(*texts) == [personal(text)[0] for text in texts]


def test_trades_are_told_by_their_phrases() -> None:
    pages = [
        "",
        "The committee discussed the bridge, and buy now is a phrase it used in a long evening. " + "And so on. " * 20,
        "Best online casino! Free spins, no deposit bonus, live casino, betting odds.",
        "澳门金沙线上娱乐，首存送彩金，百家乐、老虎机、时时彩应有尽有",
        "Generic viagra without prescription, order now, lowest price",
    ]
    adult, gambling, spam = (column.to_pylist() for column in trade_shares(pa.array(pages)).columns)
    assert adult == [0] * 5
    assert gambling[:2] == [0, 0]
    assert gambling[2] == pytest.approx(11 / 12)
    assert gambling[3] > 0.6
    assert 0 < spam[1] < 0.05 < 0.9 < spam[4]


def test_every_phrase_is_found_alone() -> None:
    for number, trade in enumerate(TRADES):
        for phrase in phrases(trade):
            assert words_of(phrase), phrase
            shares = [column[0].as_py() for column in trade_shares(pa.array([phrase])).columns]
            assert max(shares) == 1, (SIGNALS[number], phrase)


def test_lists_of_urls() -> None:
    listed = UrlList(["# a comment", "Bad.com  # all of it", "https://www.half.org/private/", "xn--fiqs8s", ""])
    held = ["http://bad.com/", "https://a.b.BAD.com:443/x", "http://half.org/private", "https://half.org/private/a?b",
            "http://me@bad.com/", "http://half.org/%70rivate"]  # fmt: skip
    free = ["http://notbad.com/", "https://half.org/", "https://half.org/privateer", "https://com/", "nonsense"]
    assert listed.contains(pa.array([*held, *free, None])).tolist() == [True] * len(held) + [False] * (len(free) + 1)


def test_lists_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("bad.com\n")
    (tmp_path / "b.txt").write_text("worse.com\n")
    listed = read_list([str(tmp_path / "*.txt")])
    assert listed.contains(pa.array(["http://bad.com", "http://worse.com", "http://good.com"])).tolist() == [1, 1, 0]
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"b.txt, offset 0: not UTF-8"):
        read_list([str(tmp_path / "*.txt")])
