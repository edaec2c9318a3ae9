"""Storage behaves alike on a disk and on a real S3 server."""

from pathlib import Path

import pytest

from corpus.errors import HeadwaterError, UsageError
from corpus.io import storage


@pytest.fixture(params=["disk", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "root")
    bucket: str = request.getfixturevalue("s3_bucket")
    return f"{bucket}/{tmp_path.name}"


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
    with pytest.raises(UsageError, match="no storage for ftp://"):
        storage.read_bytes("ftp://host/file")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(HeadwaterError, match=r"a\.json: not valid JSON"):
        storage.read_json(str(tmp_path / "a.json"))


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
