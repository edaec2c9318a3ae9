"""Storage behaves alike on a disk, in an object store (real servers of three kinds) and in fsspec's memory."""

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.errors import HeadwaterError, UsageError
from corpus.io import filesystems, storage, table
from tests.conftest import free_port


@pytest.fixture(params=["disk", "s3", "memory", "azure", "google"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "disk":
        return str(tmp_path / "root")
    if request.param == "memory":
        monkeypatch.setitem(filesystems.STORES, "memory", filesystems.Store("fsspec", "none", "nothing"))
        return f"memory://{tmp_path}"
    fixture = {"s3": "s3_bucket", "azure": "azure_container", "google": "google_bucket"}[request.param]
    return f"{request.getfixturevalue(fixture)}/{tmp_path.name}"


def test_write_read_list_delete(root: str) -> None:
    for name in ("b/2.bin", "a.json", "b/1.bin", "b/.hidden"):
        storage.write_bytes(storage.join(root, name), name.encode())
    assert [info.path for info in storage.list_files(root)] == [f"{root}/{n}" for n in ("a.json", "b/1.bin", "b/2.bin")]
    assert [info.size for info in storage.list_files(root, ".bin")] == [7, 7]
    assert storage.read_bytes(f"{root}/b/1.bin") == b"b/1.bin"
    assert storage.read_range(f"{root}/b/1.bin", 2, 3) == b"1.b"
    assert storage.size(f"{root}/a.json") == 6
    assert storage.expand(f"{root}/b/*.bin") == [f"{root}/b/1.bin", f"{root}/b/2.bin"]
    assert storage.expand(f"{root}/b") == [f"{root}/b/1.bin", f"{root}/b/2.bin"]
    storage.delete(f"{root}/b/1.bin")
    storage.delete(f"{root}/b/1.bin")
    assert not storage.exists(f"{root}/b/1.bin")
    assert storage.list_files(f"{root}/nowhere") == []
    assert storage.exists(f"{root}/b") and not storage.exists(f"{root}/c")  # noqa: PT018
    with pytest.raises(FileNotFoundError):
        storage.size(f"{root}/c")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"{root}/c")
    storage.prepare_root(f"{root}/new")


def test_what_another_process_writes_is_listed(root: str) -> None:
    storage.write_bytes(f"{root}/a", b"1")
    assert len(storage.list_files(root)) == 1
    filesystems._client.cache_clear()  # another client, as in another process
    storage.write_bytes(f"{root}/b", b"2")
    assert [info.path[-2:] for info in storage.list_files(root)] == ["/a", "/b"]
    assert storage.exists(f"{root}/b")


def test_a_table_shard_is_read_by_ranges(root: str) -> None:
    rows = pa.table({"n": list(range(1000))})
    with table.ShardWriter(f"{root}/x.parquet", rows.schema) as writer:
        for first in range(0, 1000, 100):
            writer.write(rows.slice(first, 100))
    assert table.read_between(f"{root}/x.parquet", "n", 250, 260)["n"].to_pylist() == list(range(250, 261))
    assert table.is_whole(f"{root}/x.parquet")


def test_a_failed_write_leaves_what_was_there(root: str) -> None:
    path = storage.join(root, "value")
    storage.write_bytes(path, b"old")
    with pytest.raises(RuntimeError, match="midway"):
        _fail_midway(path)
    assert storage.read_bytes(path) == b"old"


def test_identity_follows_content(root: str) -> None:
    path = storage.join(root, "input")
    storage.write_bytes(path, b"x" * 200_000)
    before = storage.identify(path)
    assert storage.identify(path) == before
    storage.write_bytes(path, b"x" * 199_999 + b"y")
    assert storage.identify(path) != before


def test_messages_name_the_place_and_the_mend(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file, folder or match"):
        storage.expand(str(tmp_path / "none*.parquet"))
    with pytest.raises(
        UsageError, match="no storage for ftp://; use a local path or one of s3://, gs://, az://, hf://"
    ):
        storage.read_bytes("ftp://host/file")
    for path in ("https://e.org/x", "hf://datasets/a/b/x"):
        with pytest.raises(UsageError, match="can be read but not written"):
            storage.write_bytes(path, b"")
        with pytest.raises(UsageError, match="can be read but not written"):
            storage.prepare_root(path)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(HeadwaterError, match=r"a\.json: not valid JSON"):
        storage.read_json(str(tmp_path / "a.json"))


@pytest.mark.parametrize(("kind", "package", "extra"), [("gs", "gcsfs", "gcs"), ("az", "adlfs", "azure")])
def test_a_missing_package_is_one_line(kind: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as where it is not installed
    with pytest.raises(UsageError) as raised:
        storage.read_bytes(f"{kind}://bucket/x")
    assert str(raised.value) == f"{kind}://bucket/x: {kind}:// needs {package}; run: pip install 'headwater[{extra}]'"


def test_a_store_that_does_not_answer_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{free_port()}")
    filesystems._client.cache_clear()
    for look in (storage.exists, storage.read_bytes, storage.expand):
        with pytest.raises(OSError, match="the store answers with"):
            look("hf://datasets/a/b/x.jsonl")


def test_json_is_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    storage.write_json(str(tmp_path / "a"), {"x": 1, "é": [2]})
    storage.write_json(str(tmp_path / "b"), {"é": [2], "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".0.parquet.host-1.tmp").write_bytes(b"half")
    (tmp_path / "sub" / "0.parquet").write_bytes(b"whole")
    storage.remove_leftovers(str(tmp_path))
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["0.parquet"]


def _fail_midway(path: str) -> None:
    with storage.atomic_output(path) as file:
        file.write(b"new")
        raise RuntimeError("midway")
