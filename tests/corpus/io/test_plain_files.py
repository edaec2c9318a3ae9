"""Plain files: every row, or a reason with its offset."""

import gzip
import json
import random
from pathlib import Path
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
from corpus.io.plain_files import MissingColumn, read_batches, read_objects

COLUMNS = {"text": "body", "id": "key", "url": "address", "date": "day", "language": "lang"}


class Row(NamedTuple):
    """A row as the tests write it."""

    offset: int
    number: int
    text: str
    id: str | None = None
    url: str | None = None
    date: str | None = None
    language: str | None = None


def read_rows(path: str, columns: dict[str, str]) -> list[Row | BadRow]:
    """The rows of all batches and what could not be read, by their offsets."""
    found: list[Row | BadRow] = []
    for batch in read_batches(path, columns):
        texts = batch.rows["text"].cast(pa.large_binary())
        rows = batch.rows.drop_columns("text").append_column("text", texts).to_pylist()
        found += [Row(**row | {"text": row["text"].decode("utf-8", "surrogatepass")}) for row in rows]
        found += batch.bad
    return sorted(found, key=lambda row: row.offset)


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
    Row(0, 0, "first \u2028 text", "7", "https://e.org/1", "2020-01-02", "en"),
    Row(len(LINES.split(b"\n")[0]) + 1, 1, "第二", "b"),
    Row(len(LINES) - len(LINES.split(b"\n")[2]) - 1, 2, "", "c"),
]
PACK = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}


@pytest.mark.parametrize("suffix", PACK)
def test_json_lines(tmp_path, suffix):
    path = tmp_path / f"x.jsonl{suffix}"
    path.write_bytes(PACK[suffix](LINES))
    assert read_rows(str(path), COLUMNS) == EXPECTED


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
    assert len(read_rows(str(path), COLUMNS)) == 9


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
    rows = read_rows(str(path), COLUMNS)
    assert [row.text for row in rows if isinstance(row, Row)] == [row.text for row in EXPECTED] * 2
    bad = [row for row in rows if isinstance(row, BadRow)]
    assert [(row.offset, row.reason) for row in bad] == [(len(LINES), reason)]


@pytest.mark.parametrize("block", [100, 1 << 20])
def test_endless_lines_hit_the_limit(tmp_path, monkeypatch, block):
    monkeypatch.setattr(line_blocks, "_BLOCK", block)
    monkeypatch.setattr(line_blocks, "MAX_LINE", 1000)
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES + b'{"body": "' + b"a" * 50_000 + b'"}\n' + LINES)
    rows = read_rows(str(path), COLUMNS)
    assert [row.reason for row in rows if isinstance(row, BadRow)] == ["too-large"]
    assert len(rows) == 7


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_cut_and_corrupt_files_give_what_precedes(tmp_path, suffix):
    path = tmp_path / f"x.jsonl{suffix}"
    lines = b"".join(b'{"body": "text number %d, with the cube %d"}\n' % (n, n**3) for n in range(4000))
    packed = PACK[suffix](lines)
    for broken in (packed[: len(packed) // 2], packed[:-3]):
        path.write_bytes(broken)
        rows = read_rows(str(path), COLUMNS)
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
    assert rows == [Row(0, 0, "a", "1"), BadRow(1, "no-text", "column 'body' holds nothing"), Row(2, 2, "第三", "3")]
    with pytest.raises(MissingColumn, match=r"no column 'content'; it has body, key, other"):
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
    assert list(read_rows(str(path), {})) == [Row(0, 0, "第一章\n\n…")]
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


LINE = st.sampled_from(
    [
        *(json.dumps(value, ensure_ascii=False).encode() for value in VALUES[1:]),
        b'{"body": "\\ud83d\\ude00", "more": [{"body": 1}]}',
        *(b"", b"  ", b"\r", b'{"body": "a"}\r', b' {"body": "a"} ', b'{"body": "a", "x": NaN}', b"{}", b"[1]"),
        *(b'{"body": 7}', b'{"body": null}', b'{"body": "a", "key": 1.5}', b'{"body": "a", "day": true}'),
        *(b'{"body": "a"} {"body": "b"}', b'{"body":', b'"a"}', b'{"a": [{}', b"{}]}", b'{"body": "a", "body": "b"}'),
        *(
            b'{"body": "\xff"}',
            b'{"body": "a", "x": "\xff"}',
            b'{"body": "a\\ud800"}',
            b'{"body": "a", "key": "\\ude00"}',
        ),
    ]
)


@given(st.lists(LINE, max_size=8), st.sampled_from([b"", b"\n"]), st.sampled_from([1, 20, 1 << 20]))
def test_each_line_is_read_alike_whatever_stands_beside_it(tmp_path_factory, lines, end, block):
    """By Arrow in blocks of any size, and by Python's json a line at a time."""
    path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    path.write_bytes(b"\n".join(lines) + (end if lines else b""))
    expected, offset = [], 0
    for line in lines:
        try:
            value = json.loads(line)
            text = value["body"] if isinstance(value, dict) and isinstance(value.get("body"), str) else None
        except ValueError:
            text = None
        if line.strip():
            expected.append((offset, text))
        offset += len(line) + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_blocks, "_BLOCK", block)
        found = read_rows(str(path), COLUMNS)
    assert [(row.offset, row.text if isinstance(row, Row) else None) for row in found] == expected
    assert all(row.number == number for number, row in enumerate(found) if isinstance(row, Row))


def test_parquet_columns_of_other_types(tmp_path):
    path = tmp_path / "x.parquet"
    body = pa.array(["a", "b", "a"]).dictionary_encode()
    table = pa.table({"body": body, "key": [1.0, None, 2.5], "day": pa.array([0, None, 1], pa.date32())})
    pq.write_table(table, path)
    rows = read_rows(str(path), {"text": "body", "id": "key", "date": "day"})
    assert [row.text for row in rows] == ["a", "b", "a"]
    assert [(row.id, row.date) for row in rows] == [("1.0", "1970-01-01"), (None, None), ("2.5", "1970-01-02")]
    pq.write_table(pa.table({"body": pa.array([b"a"], pa.binary()), "key": [1]}), path)
    assert read_rows(str(path), {"text": "body"}) == [BadRow(0, "no-text", "column 'body' holds no UTF-8")]


def test_a_corrupt_row_group_is_told_and_the_others_are_read(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": [str(n**5) for n in range(300)]}), path, row_group_size=100, use_dictionary=False)
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[start : start + 60] = b"\xff" * 60
    path.write_bytes(data)
    rows = read_rows(str(path), {"text": "text"})
    assert [row.text for row in rows if isinstance(row, Row)] == [str(n**5) for n in [*range(100), *range(200, 300)]]
    assert [(row.offset, row.reason) for row in rows if isinstance(row, BadRow)] == [(100, "corrupt")]


def test_further_columns_and_objects(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "n": 1}\n{"n": 2}\n{"text": "b", "n": "3", "m": [1]}\n')
    (batch,) = read_batches(str(path), {"text": "text"}, {"n": pa.float64()})
    assert batch.others == {"n": [1, "3"]}
    assert list(read_objects(str(path))) == [{"text": "a", "n": 1}, {"n": 2}, {"text": "b", "n": "3", "m": [1]}]
