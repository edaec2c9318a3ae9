"""Checksums of files are xxh3-128 of all their bytes, however many reads that takes."""

from pathlib import Path

import pytest
import xxhash

from corpus.io import checksum
from corpus.io.checksum import bytes_entry, file_checksum, file_entry


@pytest.mark.parametrize("size", [0, 5, 1000])
def test_of_a_file_and_of_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(checksum, "_READ", 300)
    data = bytes(number % 251 for number in range(size))
    (tmp_path / "x").write_bytes(data)
    expected = {"bytes": size, "xxh3": xxhash.xxh3_128(data).hexdigest()}
    assert file_entry(str(tmp_path / "x")) == bytes_entry(data) == expected
    assert file_checksum(str(tmp_path / "x")) == expected["xxh3"]


def test_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_entry(str(tmp_path / "x"))
