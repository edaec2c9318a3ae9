"""Plain files: every row, or a reason with its offset."""

import gzip
import json
import random
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import UsageError
from corpus.io import line_blocks
from corpus.io.line_blocks import BadRow
from corpus.io.plain_files import read_batches


class Row(NamedTuple):
    """A row as the tests write it."""

    offset: int
    text: str
    id: str | None = None
    url: str | None = None
    date: str | None = None
    language: str | None = None


def read_rows(path, columns):
    """The rows and bad rows of a file, in the order of their offsets."""
    found = []
    for number, batch in enumerate(read_batches(path, {"text": "text"} | columns)):
        names = [name for name in Row._fields if name in batch.rows.column_names]
        good = [Row(**row) for row in batch.rows.select(names).to_pylist()]
        found += [(number, row._replace(text=row.text.decode("utf-8", "surrogatepass"))) for row in good]
        found += [(number, bad) for bad in batch.bad]
    return [row for _, row in sorted(found, key=lambda item: (item[0], item[1].offset))]


COLUMNS = {"text": "body", "id": "key", "url": "address", "date": "day", "language": "lang"}
VALUES = [
    {
        "body": "first \u2028 text",
        "key": 7,
        "address": "https://e.org/1",
        "day": "2020-01-02",
        "lang": "en",
        "more": [1],
    },
    {"body": "第二", "key": "b"},
    {"body": "", "key": "c", "lang": None},
]
LINES = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in VALUES).encode()
EXPECTED = [
    Row(0, "first \u2028 text", "7", "https://e.org/1", "2020-01-02", "en"),
    Row(len(LINES.split(b"\n")[0]) + 1, "第二", "b"),
    Row(len(LINES) - len(LINES.split(b"\n")[2]) - 1, "", "c"),
]
PACK = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}


@pytest.mark.parametrize("suffix", PACK)
def test_json_lines(tmp_path, suffix):
    path = tmp_path / f"x.jsonl{suffix}"
    path.write_bytes(PACK[suffix](LINES))
    assert list(read_rows(str(path), COLUMNS)) == EXPECTED


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_files_of_several_members_and_frames(tmp_path, suffix):
    path = tmp_path / f"x.jsonl{suffix}"
    path.write_bytes(b"".join(PACK[suffix](line + b"\n") for line in LINES.splitlines() if line))
    assert [row.text for row in read_rows(str(path), COLUMNS)] == [row.text for row in EXPECTED]


def test_long_windows_of_zstd(tmp_path):
    path = tmp_path / "x.jsonl.zst"
    options = {
        int(zstd.CompressionParameter.window_log): 28,
        int(zstd.CompressionParameter.enable_long_distance_matching): 1,
    }
    path.write_bytes(zstd.compress(LINES * 3, options=options))
    assert len(list(read_rows(str(path), COLUMNS))) == 9


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{not json}", "bad-line"),
        (b"[1]", "bad-line"),
        (b"\xff\xfe", "bad-line"),
        (b'{"key": "no text"}', "no-text"),
        (b'{"body": 3}', "no-text"),
        (b"[" * 100_000, "bad-line"),
    ],
)
def test_malformed_lines_are_counted_and_passed_over(tmp_path, line, reason):
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES + line + b"\n\n" + LINES.replace(b"\n", b"\r\n"))
    rows = list(read_rows(str(path), COLUMNS))
    assert [row.text for row in rows if isinstance(row, Row)] == [row.text for row in EXPECTED] * 2
    bad = [row for row in rows if isinstance(row, BadRow)]
    assert [(row.offset, row.reason) for row in bad] == [(len(LINES), reason)]


def test_endless_lines_hit_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(line_blocks, "MAX_LINE", 1000)
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES + b'{"body": "' + b"a" * 50_000 + b'"}\n' + LINES)
    rows = list(read_rows(str(path), COLUMNS))
    assert [row.reason for row in rows if isinstance(row, BadRow)] == ["too-large"]
    assert len(rows) == 7


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_cut_and_corrupt_files_give_what_precedes(tmp_path, suffix):
    path = tmp_path / f"x.jsonl{suffix}"
    lines = b"".join(b'{"body": "text number %d, with the cube %d"}\n' % (n, n**3) for n in range(4000))
    packed = PACK[suffix](lines)
    for broken in (packed[: len(packed) // 2], packed[:-3]):
        path.write_bytes(broken)
        rows = list(read_rows(str(path), COLUMNS))
        good = [row for row in rows if isinstance(row, Row)]
        assert [row.text.split(",")[0] for row in good] == [f"text number {n}" for n in range(len(good))]
        assert [row.reason for row in rows if isinstance(row, BadRow)] == ["truncated"]
    path.write_bytes(packed[: len(packed) // 2] + b"\xff" * 500 + packed[len(packed) // 2 + 500 :])
    assert [row.reason for row in read_rows(str(path), COLUMNS) if isinstance(row, BadRow)][-1] in (
        "corrupt",
        "bad-line",
        "truncated",
    )
    path.write_bytes(b"not compressed at all")
    assert [row.reason for row in read_rows(str(path), COLUMNS)] == ["corrupt"]


def test_parquet(tmp_path):
    path = tmp_path / "x.parquet"
    table = pa.table({"body": ["a", None, "第三"], "key": [1, 2, 3], "other": [0, 0, 0]})
    pq.write_table(table, path, row_group_size=2)
    rows = list(read_rows(str(path), {"text": "body", "id": "key"}))
    assert rows == [Row(0, "a", "1"), BadRow(1, "no-text", "column 'body' holds nothing"), Row(2, "第三", "3")]
    with pytest.raises(UsageError, match=r"no column 'content'; it has body, key, other"):
        list(read_rows(str(path), {"text": "content"}))
    path.write_bytes(path.read_bytes()[:-20])
    assert [row.reason for row in read_rows(str(path), {"text": "body"})] == ["corrupt"]


def test_parquet_of_what_python_cannot_hold(tmp_path):
    path = tmp_path / "x.parquet"
    text = pa.array([b"a", b"cut \xe4\xb8", "第三".encode()], pa.binary()).view(pa.string())
    date = pa.array([1_600_000_000_000, 0, 316_516_204_800_000], pa.timestamp("ms"))  # the last is of the year 12000
    pq.write_table(pa.table({"text": text, "date": date}), path)
    rows = list(read_rows(str(path), {"text": "text", "date": "date"}))
    assert rows[1] == BadRow(1, "no-text", "column 'text' holds no UTF-8")
    assert [rows[0].date, rows[2].date] == ["2020-09-13T12:26:40", None]


def test_text_files(tmp_path):
    path = tmp_path / "book.txt"
    path.write_bytes("第一章\n\n…".encode())
    assert list(read_rows(str(path), {})) == [Row(0, "第一章\n\n…")]
    path.write_bytes(b"abc\xff")
    assert [(row.offset, row.reason) for row in read_rows(str(path), {})] == [(3, "bad-line")]


def test_other_files_are_a_mistake(tmp_path):
    path = tmp_path / "x.docx"
    path.write_bytes(b"")
    with pytest.raises(UsageError, match=r"must end in \.jsonl"):
        list(read_rows(str(path), {}))


@given(st.binary(max_size=500), st.sampled_from([".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".txt"]))
def test_noise_never_raises(tmp_path_factory, noise, suffix):
    path = tmp_path_factory.mktemp("noise") / f"x{suffix}"
    path.write_bytes(noise)
    list(read_rows(str(path), {"text": "text"}))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("lines", [3_000, 40_000])
def test_a_packed_file_of_many_blocks_is_read_to_its_end(tmp_path, suffix, lines):
    words = random.Random(1)
    rows = [{"text": " ".join(str(words.random()) for _ in range(words.randrange(40)))} for _ in range(lines)]
    path = tmp_path / f"x.jsonl{suffix}"
    path.write_bytes(PACK[suffix]("".join(json.dumps(row) + "\n" for row in rows).encode()))
    assert [row.text for row in read_rows(str(path), {"text": "text"})] == [row["text"] for row in rows]
