"""Two roots compared: the renames of the old layout, values bit by bit, and which differences fail."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/compare_roots.py"
DUMP = "dump=CC-MAIN-2013-20"


def write(root: Path, path: str, metadata: str, **columns: list) -> None:
    """A Parquet file whose footer says what made it."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    rows = pa.table(columns).replace_schema_metadata({"headwater": metadata})
    pq.write_table(rows, root / path)


def write_text(root: Path, path: str, value: str | bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(value.encode() if isinstance(value, str) else value)


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """The same small run in the old layout and in the new."""
    old, new = tmp_path / "old", tmp_path / "new"
    for root, pieces, piece, fates, sites, number in (
        (old, "pieces", "piece", "fates", "sites", 0),
        (new, "pretokens", "pretoken", "keepers_by_shard", "site_counts", 5),
    ):
        mark = root.name
        write(root, f"documents/{DUMP}/00000.parquet", mark, id=["a", "b"], score=[math.nan, 0.5], spans=[[1], None])
        write(root, f"rejects/{DUMP}/00000.parquet", mark, file=["f"], detail=[f"took {number} s"])
        write(root, f"tokenizer/{pieces}/00000.parquet", mark, **{piece: [b"the"], "count": [3]})
        write(root, f"dedup/{fates}/{DUMP}/00000.parquet", mark, ordinal=[number, number + 1], keeper=["a", "b"])
        write(root, f"{sites}/{DUMP}/00000.parquet", mark, site=["x.org"], value=[1.0])
        write_text(root, "tokens/domain=en/00000.bin", np.arange(9, dtype=np.int32).tobytes())
        write_text(root, "tokens/domain=en/manifest.json", json.dumps({"fingerprint": mark, "tokens": 9}))
        write_text(root, "reports/index.html", mark)
    return old, new


def compare(old: Path, new: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), str(old), str(new), *options], capture_output=True, text=True)


def test_the_same_run_in_two_layouts_is_equal(roots: tuple[Path, Path]) -> None:
    done = compare(*roots)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "final: 6 tables, 6 equal" in done.stdout
    assert "intermediate: 1 tables, 0 equal, 1 as many rows, 0 differs" in done.stdout
    assert "informative: 1 tables, 0 equal, 0 as many rows, 1 differs" in done.stdout


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"documents/{DUMP}/00000.parquet", "row 1, score: 0.5 and 0.25 (score differ)"),
        (f"site_counts/{DUMP}/00000.parquet", "columns value: double became value: float"),
        ("tokenizer/pretokens/00000.parquet", "1 and 2 rows"),
        ("tokens/domain=en/00000.bin", "byte 4"),
        ("tokens/domain=en/manifest.json", "tokens: 9 and 8"),
    ],
)
def test_a_final_table_that_differs_fails(roots: tuple[Path, Path], path: str, said: str) -> None:
    old, new = roots
    if path.startswith("documents"):
        write(new, path, "new", id=["a", "b"], score=[math.nan, 0.25], spans=[[1], None])
    elif path.startswith("site"):
        write(new, path, "new", site=["x.org"], value=pa.array([1.0], pa.float32()))
    elif path.startswith("tokenizer"):
        write(new, path, "new", pretoken=[b"the", b"a"], count=[3, 1])
    elif path.endswith(".bin"):
        write_text(new, path, np.arange(1, 10, dtype=np.int32).tobytes().replace(b"\1", b"\0", 1))
    else:
        write_text(new, path, json.dumps({"fingerprint": "new", "tokens": 8}))
    done = compare(old, new, "--quiet")
    assert done.returncode == 1
    assert said in done.stdout
    assert "final: 6 tables, 5 equal, 0 as many rows, 1 differs" in done.stdout


def test_shards_on_one_side_only_fail(roots: tuple[Path, Path]) -> None:
    old, new = roots
    shutil.rmtree(new / "tokenizer")
    write(new, f"documents/{DUMP}/00001.parquet", "new", id=["c"])
    done = compare(old, new)
    assert done.returncode == 1
    assert "00000.parquet: only in OLD" in done.stdout
    assert "00001.parquet: only in NEW" in done.stdout


def test_a_rename_can_be_given(roots: tuple[Path, Path]) -> None:
    old, new = roots
    (new / "site_counts").rename(new / "counted")
    assert compare(old, new).returncode == 1
    assert compare(old, new, "--map", "sites/dump=*=counted/dump=*").returncode == 0


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = compare(tmp_path, tmp_path / "none")
    assert done.returncode == 1
    assert done.stderr.strip() == f"{tmp_path}/none: no such folder; name the root of a finished run"
