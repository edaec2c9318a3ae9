"""Token shards: read back, opened by Megatron's own reader, and refused where anything does not fit."""

import importlib.util
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import CorruptShard, HeadwaterError
from corpus.io import storage
from tests.tokenizer.test_encode import VOCABULARY
from tokenizer.shard_format import build_index, parse_index
from tokenizer.shard_writer import TokenShardWriter, build_manifest, cut_shards, write_manifest
from tokenizer.shards import open_shards

DOCUMENTS = [[np.arange(size, dtype=np.int32) + 3 for size in sizes] for sizes in ([5, 1, 300], [], [2, 2])]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    entries = []
    for number, documents in enumerate(DOCUMENTS):
        with TokenShardWriter(str(tmp_path), f"{number:05d}") as writer:
            for document in documents:
                writer.write(document, np.array([len(document)], np.int32), 10 * len(document))
        entries.append(writer.entry())
    write_manifest(str(tmp_path), build_manifest(VOCABULARY, entries, "web", "train"))
    return str(tmp_path)


def test_what_is_written_is_read(folder: str) -> None:
    shards = open_shards(folder, VOCABULARY.hash, VOCABULARY.model_size, verify=True)
    assert (shards.num_tokens, shards.num_documents, shards.num_bytes) == (310, 5, 3100)
    for number, documents in enumerate(DOCUMENTS):
        tokens, offsets = shards.tokens(number), shards.document_offsets(number)
        assert tokens.dtype == np.int32
        assert offsets.dtype == np.int64
        assert [tokens[a:b].tolist() for a, b in pairwise(offsets)] == [part.tolist() for part in documents]
    assert np.fromfile(f"{folder}/00000.bin", "<u4").tolist() == shards.tokens(0).tolist()
    assert pickle.loads(pickle.dumps(shards)).num_tokens == 310


MEGATRON = """
import json, sys
from megatron.core.datasets.indexed_dataset import IndexedDataset
for path in sys.argv[1:]:
    read = IndexedDataset(path)
    documents = [read[at].tolist() for at in range(len(read))]
    print(json.dumps([documents, read.document_indices.tolist(), str(read.index.dtype)]))
"""


def test_megatrons_reader_opens_them(folder: str) -> None:
    """In a process of its own: its import changes how the whole interpreter finds distutils."""
    if importlib.util.find_spec("megatron") is None:
        pytest.skip("megatron-core is not installed (it is for Linux only)")
    numbers = [number for number, documents in enumerate(DOCUMENTS) if documents]  # it cannot map an empty file
    paths = [f"{folder}/{number:05d}" for number in numbers]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MEGATRON, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for number, line in zip(numbers, done.stdout.splitlines()[-len(numbers) :], strict=True):
        documents, indices, dtype = json.loads(line)
        assert documents == [part.tolist() for part in DOCUMENTS[number]]
        assert indices == list(range(len(DOCUMENTS[number]) + 1))
        assert "int32" in dtype


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**31 - 1), max_size=50))
def test_an_index_comes_back(lengths: list[int]) -> None:
    data = build_index(np.array(lengths, np.int32))
    assert parse_index(data, "x").tolist() == np.cumsum([0, *lengths], dtype=np.int64).tolist()


def _edit_manifest(folder: str, **changes: object) -> None:
    path = f"{folder}/manifest.json"
    storage.write_json(path, storage.read_json(path) | changes)


def _flip(folder: str, name: str, at: int) -> None:
    path = Path(folder) / name
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "kind", "message"),
    [
        (lambda f: Path(f, "manifest.json").unlink(), HeadwaterError, "no manifest.json"),
        (lambda f: _edit_manifest(f, format="other"), HeadwaterError, "not a manifest of token shards"),
        (lambda f: _edit_manifest(f, dtype="uint16"), HeadwaterError, "tokens of type uint16"),
        (lambda f: _edit_manifest(f, shards=[{"name": "00000"}]), HeadwaterError, "missing or wrong.*'tokens'"),
        (lambda f: _edit_manifest(f, vocab_size=None), HeadwaterError, "an entry is missing or wrong"),
        (lambda f: _edit_manifest(f, files={}), HeadwaterError, "an entry is missing or wrong.*'00000.bin'"),
        (lambda f: Path(f, "manifest.json").write_text("{"), HeadwaterError, "not valid JSON"),
        (lambda f: Path(f, "00000.bin").write_bytes(b"1234"), CorruptShard, "4 bytes, the manifest says 1,224"),
        (lambda f: Path(f, "00002.idx").unlink(), CorruptShard, "the file is missing"),
        (lambda f: Path(f, "00002.blocks").unlink(), CorruptShard, "the file is missing"),
        (lambda f: _flip(f, "00000.bin", 100), CorruptShard, "its checksum is not the manifest's"),
        (lambda f: _flip(f, "00002.idx", 0), CorruptShard, "its checksum is not the manifest's"),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: str, damage: Callable[[str], object], kind: type[Exception], message: str
) -> None:
    damage(folder)
    with pytest.raises(kind, match=message):
        open_shards(folder, verify=True)


def test_another_tokenizer_and_a_small_model_are_refused(folder: str) -> None:
    with pytest.raises(HeadwaterError, match="made with tokenizer"):
        open_shards(folder, tokenizer_hash="0" * 32)
    with pytest.raises(HeadwaterError, match="the model has 100 rows"):
        open_shards(folder, vocab_size=100)


@pytest.mark.parametrize(
    ("name", "at", "message"),
    [("00000.idx", 3, "MMIDIDX"), ("00000.idx", 9, "index version"), ("00000.idx", 17, "not int32"),
     ("00000.idx", 34, "contradict"), ("00000.idx", 26, "document bounds")],
)  # fmt: skip
def test_a_damaged_index_is_refused_without_checksums(folder: str, name: str, at: int, message: str) -> None:
    _flip(folder, name, at)
    with pytest.raises(CorruptShard, match=message):
        open_shards(folder).document_offsets(0)


def test_tokens_outside_the_vocabulary_are_refused(tmp_path: Path) -> None:
    with TokenShardWriter(str(tmp_path), "00000") as writer:
        writer.write(np.array([VOCABULARY.size], np.int32), np.array([1], np.int32), 1)
    write_manifest(str(tmp_path), build_manifest(VOCABULARY, [writer.entry()], "web", "train"))
    with pytest.raises(CorruptShard, match="outside the vocabulary"):
        open_shards(str(tmp_path), verify=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100), st.integers(0, 40))
def test_no_shard_is_larger_than_it_may_be(sizes: list[int], limit: int, cut: int) -> None:
    """Nor smaller than need be, and the same when documents come in two parts."""
    starts, filled = cut_shards(np.array(sizes, np.int64), limit, limit)
    bounds = [*starts.tolist(), len(sizes)]
    shards = [sizes[first:last] for first, last in pairwise(bounds)]
    assert [size for shard in shards for size in shard] == sizes
    assert all(sum(shard) <= limit or len(shard) == 1 for shard in shards)
    assert all(sum(shard) + after[0] > limit for shard, after in pairwise(shards))
    assert not shards or filled == sum(shards[-1])
    once, open_ = cut_shards(np.array(sizes[:cut], np.int64), limit, limit)
    more, _ = cut_shards(np.array(sizes[cut:], np.int64), limit, open_)
    assert [*once, *(more + min(cut, len(sizes)))] == starts.tolist()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with TokenShardWriter(str(tmp_path), "00000") as writer:
            writer.write(np.array([1], np.int32), np.array([1], np.int32), 1)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert list(tmp_path.iterdir()) == []
