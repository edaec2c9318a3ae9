"""Block checksums and the index that is read in parts: equal to those of the whole, for any cut of the writing."""

from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import CorruptShard
from tests.token_folders import write_shards
from tokenizer.shard_blocks import BlockSums, build_blocks, parse_blocks
from tokenizer.shard_format import build_index
from tokenizer.shard_index import DocumentIndex
from tokenizer.shards import open_shards


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 64))
def test_the_sums_are_those_of_the_blocks(pieces: list[bytes], block: int) -> None:
    sums = BlockSums(block)
    for piece in pieces:
        sums.update(piece)
    whole = b"".join(pieces)
    expected = [xxhash.xxh3_64_intdigest(whole[at : at + block]) for at in range(0, len(whole), block)]
    assert sums.finish() == expected
    index = BlockSums(block)
    index.update(b"index")
    parsed = parse_blocks(build_blocks(sums, index), "x")
    assert parsed.sums["bin"].tolist() == expected
    assert len(parsed.sums["idx"]) == -(-5 // block)
    assert [parsed.length("bin", n) for n in range(len(expected))] == [
        len(whole[at : at + block]) for at in range(0, len(whole), block)
    ]


@pytest.mark.parametrize("damage", [lambda d: b"", lambda d: b"x" + d[1:], lambda d: d[:-1], lambda d: d + b"12345678"])
def test_what_is_no_file_of_sums_is_refused(damage: object) -> None:
    sums = BlockSums(16)
    sums.update(bytes(100))
    data = build_blocks(sums, BlockSums(16))
    with pytest.raises(CorruptShard, match="x is corrupt"):
        parse_blocks(damage(data), "x")  # type: ignore[operator]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 30), max_size=40), st.data())
def test_an_index_in_parts_finds_what_the_whole_has(lengths: list[int], data: st.DataObject) -> None:
    """Empty documents too: they begin where the next one does."""
    content = build_index(np.array(lengths, np.int32))
    reads: list[int] = []

    def read(offset: int, length: int) -> bytes:
        reads.append(length)
        return content[offset : offset + length]

    index = DocumentIndex(read, len(lengths), "x")
    offsets = np.cumsum([0, *lengths])[:-1]
    first = data.draw(st.integers(0, sum(lengths)))
    last = data.draw(st.integers(first, sum(lengths)))
    assert index.starts(first, last).tolist() == [at for at in offsets.tolist() if first <= at < last]
    assert len(reads) <= 2 + 2 * (len(lengths) + 1).bit_length()
    with pytest.raises(CorruptShard, match="the manifest 41"):
        DocumentIndex(read, 41, "x")


def test_a_changed_file_of_sums_is_found(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "s", [[np.arange(100)]])
    path = tmp_path / "s/00000.blocks"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(CorruptShard, match=r"00000\.blocks"):
        open_shards(folder, verify=True)
