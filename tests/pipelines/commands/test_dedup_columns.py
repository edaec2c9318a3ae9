"""`headwater dedup --keep` by columns of the input: scores and dates of every kind, in every kind of file."""

import json
import math
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.io.plain_files import read_batches
from pipelines.cli import main

TEXTS = [" ".join(f"{topic}{i}" for i in range(30)) for topic in ("river", "stone", "cloud")]
DATES = {  # as written: in order
    "2019-12-31T23:00:00-02:00": 3,
    "2020-01-01": 2,
    "2020-01-01T00:00:00": 2,
    "2020-01-01 00:00:00.5Z": 2.5,
    "1969-07-20": 1,
    "soon": None,
    None: None,
}
SCORES = [None, math.nan, 0.5, -2.0, 3.0, math.inf]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def parquet(path: Path, rows: dict[str, Any]) -> str:
    pq.write_table(pa.table(rows), path)
    return str(path)


def keepers(files: list[str], out: Path, *options: str) -> dict[str, str]:
    """The id of the kept document of each document's cluster, by id."""
    assert main(["dedup", *files, "--out", str(out), *options]) == 0
    return {row["id"]: row["cluster"] for row in pq.read_table(out / "duplicates.parquet").to_pylist()}


ROWS = st.lists(
    st.fixed_dictionaries(
        {"text": st.sampled_from(TEXTS), "score": st.sampled_from(SCORES), "crawled": st.sampled_from(list(DATES))}
    ),
    min_size=2,
    max_size=24,
)
POLICIES = ["score:highest,id", "score:lowest,crawled:newest", "crawled:oldest,score:highest,length,id"]


@settings(max_examples=30, deadline=None)
@given(ROWS, st.sampled_from(POLICIES), st.randoms())
def test_the_best_of_each_text_is_kept_whatever_the_files_and_workers(
    rows: list[dict[str, Any]], policy: str, chance: Any
) -> None:
    """Copies of three texts, in two kinds of files and any order, on one thread or three: the least by a sort."""
    rows = [row | {"id": f"{number:02d}"} for number, row in enumerate(rows)]

    def place(row: dict[str, Any]) -> tuple:
        values = {"score": row["score"], "crawled": DATES[row["crawled"]], "length": 0, "id": row["id"]}
        parts: list[Any] = []
        for name, _, best in (criterion.partition(":") for criterion in policy.split(",")):
            value = values[name]
            unknown = value is None or value != value
            parts += [unknown, 0 if unknown else -value if best in ("highest", "newest") else value]
        return (*parts, row["id"])

    best = {text: min((row for row in rows if row["text"] == text), key=place, default=None) for text in TEXTS}
    expected = {row["id"]: best[row["text"]]["id"] for row in rows}  # type: ignore[index]
    with tempfile.TemporaryDirectory() as folder:
        for workers in ("1", "3"):
            chance.shuffle(rows)
            one, two = rows[: len(rows) // 2], rows[len(rows) // 2 :]
            files = [jsonl(Path(folder, "1.jsonl"), one)]
            files += [parquet(Path(folder, "2.parquet"), {name: [row[name] for row in two] for name in two[0]})]
            chance.shuffle(files)
            assert keepers(files, Path(folder, "out"), "--keep", policy, "--workers", workers) == expected


@pytest.mark.parametrize(
    ("best", "values"),
    [
        ("highest", pa.array([1, 3, 2, None])),
        ("highest", pa.array([0.1, 0.3, math.nan, None])),
        ("lowest", pa.array([Decimal("0.2"), Decimal("-7.1"), None, Decimal("1.0")])),
        ("highest", pa.array(["0.9", "10", "9.5", None])),
        ("highest", pa.array([False, True, None, False])),
        ("highest", pa.array([2**62, 2**63 - 1, 0, None])),
        ("newest", pa.array([None, date(2021, 1, 1), date(2020, 1, 1), date(1950, 1, 1)])),
        ("oldest", pa.array([None, 1_600_000_000_123_456_789, 1_700_000_000_000_000_001, None], pa.timestamp("ns"))),
        ("newest", pa.array([None, 20, 10, -5], pa.timestamp("s", "UTC"))),
        (
            "newest",
            pa.array([datetime(2020, 1, 1), datetime(2020, 1, 2), None, None], pa.timestamp("ms", "Asia/Tokyo")),
        ),
        ("newest", pa.array(["2020", "20210101", "not known", "2020-12-31"])),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_every_type_of_a_parquet_column(tmp_path: Path, best: str, values: pa.Array) -> None:
    """The second of four is the best, also where a row without text sends the whole file to the row reader."""
    rows = {"id": list("abcd"), "text": [TEXTS[0]] * 4, "my:value": values}
    file = parquet(tmp_path / "1.parquet", rows)
    assert set(keepers([file], tmp_path / "out", "--keep", f"my:value:{best}").values()) == {"b"}
    file = parquet(tmp_path / "2.parquet", rows | {"text": [*[TEXTS[0]] * 3, None]})
    assert main(["dedup", file, "--out", str(tmp_path / "out"), "--keep", f"my:value:{best}"]) == 1
    assert set(pq.read_table(tmp_path / "out/duplicates.parquet")["cluster"].to_pylist()) == {"b"}


def test_values_of_json_that_arrow_does_not_expect(tmp_path: Path) -> None:
    """Numbers written as text, truth values, rows that lack the column: read row by row, in the same order."""
    rows = [{"score": "0.5"}, {}, {"score": True}, {"score": 0.75}, {"score": None}]
    file = jsonl(tmp_path / "1.jsonl", [{"id": str(i), "text": TEXTS[0]} | row for i, row in enumerate(rows)])
    assert set(keepers([file], tmp_path / "out", "--keep", "score:highest").values()) == {"2"}
    assert set(keepers([file], tmp_path / "out", "--keep", "score:lowest").values()) == {"0"}


def test_order_then_means_the_files_as_given(tmp_path: Path) -> None:
    files = [jsonl(tmp_path / f"{n}.jsonl", [{"id": n, "text": TEXTS[0], "score": 1}]) for n in "ab"]
    for given_files, kept in ((files, "a"), (files[::-1], "b")):
        assert set(keepers(given_files, tmp_path / "out", "--keep", "score:highest,order").values()) == {kept}


def test_a_missing_column_is_told_before_anything_is_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sign(*_: object) -> None:
        raise AssertionError("signed")

    monkeypatch.setattr("corpus.dedup.in_memory.sign_table", sign)
    good = jsonl(tmp_path / "1.jsonl", [{"text": TEXTS[0]}, {"text": TEXTS[1], "score": 1}])
    line = jsonl(tmp_path / "2.jsonl", [{"text": TEXTS[0], "scores": 1}])
    table = parquet(tmp_path / "3.parquet", {"text": TEXTS, "rating": [1, 2, 3]})
    text = tmp_path / "4.txt"
    text.write_text(TEXTS[0])
    for file, mend in ((line, "did you mean `scores`?"), (table, "it has rating, text"), (str(text), "it has text")):
        assert main(["dedup", good, file, "--out", str(tmp_path / "out"), "--keep", "score:highest"]) == 2
        assert f"{file}: there is no column 'score'; {mend}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_json_file_without_rows_lacks_no_column(tmp_path: Path) -> None:
    files = [jsonl(tmp_path / "1.jsonl", []), parquet(tmp_path / "2.parquet", {"text": pa.array([], pa.string())})]
    assert keepers(files[:1], tmp_path / "out", "--keep", "score:highest") == {}
    assert main(["dedup", *files, "--out", str(tmp_path / "out"), "--keep", "score:highest"]) == 2


@pytest.mark.parametrize(
    ("keep", "value", "message"),
    [
        ("score:highest", "very good", "--keep score:highest: 'very good' is no number"),
        ("score:lowest", [1], "'[1]' is no number"),
        ("score:newest", 20200101, "--keep score:newest: '20200101' is no date"),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: str, value: object, message: str
) -> None:
    file = jsonl(tmp_path / "1.jsonl", [{"id": "a", "text": TEXTS[0], "score": value}])
    assert main(["dedup", file, "--out", str(tmp_path / "out"), "--keep", keep]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"headwater: {file}: ")
    assert message in told


def test_dates_of_a_plain_source_may_have_nanoseconds(tmp_path: Path) -> None:
    stamps = pa.array([1_600_000_000_123_456_789], pa.timestamp("ns", "UTC"))
    file = parquet(tmp_path / "1.parquet", {"text": ["x"], "at": stamps})
    (batch,) = read_batches(file, {"text": "text", "date": "at"})
    assert datetime.fromisoformat(batch.rows["date"][0].as_py()) == datetime(2020, 9, 13, 12, 26, 40, 123456, UTC)


def test_rows_that_python_cannot_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = pa.array([b"one text here", b"one text here", b"cut \xe4\xb8"], pa.binary()).view(pa.string())
    at = pa.array([316_516_204_800_000, 0, 0], pa.timestamp("ms"))  # of the year 12000: as good as unknown
    file = parquet(tmp_path / "1.parquet", {"id": ["far", "known", "cut"], "text": text, "at": at})
    assert main(["dedup", file, "--out", str(tmp_path / "out"), "--keep", "at:newest,id"]) == 1
    assert f"{file}, offset 2: no-text: column 'text' holds no UTF-8" in capsys.readouterr().err
    rows = pq.read_table(tmp_path / "out/duplicates.parquet").to_pylist()
    assert [(row["id"], row["cluster"]) for row in rows] == [("far", "known"), ("known", "known")]
