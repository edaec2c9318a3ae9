"""Writing token shards: `.bin`, `.idx`, `.blocks`, and the manifest that binds them to a tokenizer.

A shard is written a batch of documents at a time and hashed while it is written; its files appear whole or not at all.
The manifest is written last, so a folder with a manifest is a finished folder.
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpus.errors import UsageError
from corpus.io import storage
from corpus.io.checksum import bytes_entry
from tokenizer.shard_blocks import BLOCK_BYTES, BlockSums, build_blocks
from tokenizer.shard_format import DTYPE, build_index
from tokenizer.shards import FORMAT, MANIFEST
from tokenizer.vocabulary import Vocabulary

_SHARD_FILE = re.compile(r"(\d{5,})\.(bin|idx|blocks|parquet)")

# NNNNN.parquet beside a shard: its documents in order, so that a token's position leads back to where it came from.
PROVENANCE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("dump", pa.string()),
        pa.field("offset", pa.int64(), nullable=False),  # the document's first token in the shard
        pa.field("tokens", pa.int32(), nullable=False),
    ]
)


def cut_shards(sizes: npt.NDArray[np.int64], limit: int, filled: int) -> tuple[npt.NDArray[np.int64], int]:
    """Where shards begin, so that none is larger than `limit` unless it is a single document that is.

    `sizes` (int64[documents], at least 1 each) come after what fills the open shard already; `filled = limit` begins a
    shard with the first. Returns the documents that begin a shard, ascending, and how full the last one is."""
    ends = np.cumsum(sizes)
    starts: list[int] = []
    before = -filled  # where the open shard begins
    row = int(np.searchsorted(ends, before + limit, "right"))
    while row < len(sizes):
        starts.append(row)
        before = int(ends[row] - sizes[row])
        row = max(row + 1, int(np.searchsorted(ends, before + limit, "right")))
    return np.array(starts, np.int64), (int(ends[-1]) if len(ends) else 0) - before


class TokenShardWriter:
    """Write one shard, `<folder>/<name>.bin`, `.idx` and `.blocks`, which appear when the `with` block ends well."""

    def __init__(self, folder: str, name: str, block_bytes: int = BLOCK_BYTES) -> None:
        self.folder = folder
        self.name = name
        self.num_bytes = 0
        self.files: dict[str, dict[str, Any]] = {}
        self._lengths: list[npt.NDArray[np.int32]] = []
        self._digest = xxhash.xxh3_128()
        self._blocks = BlockSums(block_bytes)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._file: IO[bytes] = self._stack.enter_context(storage.atomic_output(self._path("bin")))
        return self

    def _path(self, suffix: str) -> str:
        return storage.join(self.folder, f"{self.name}.{suffix}")

    def write(self, tokens: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], num_bytes: int) -> None:
        """Append documents: their tokens end to end, the tokens of each, and the UTF-8 bytes of their text."""
        data = np.ascontiguousarray(tokens, "<i4").tobytes()
        self._file.write(data)
        self._digest.update(data)
        self._blocks.update(data)
        self._lengths.append(np.asarray(lengths, np.int32))
        self.num_bytes += num_bytes

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if error is not None:
            return
        lengths = np.concatenate([*self._lengths, np.zeros(0, np.int32)])
        index = build_index(lengths)
        index_blocks = BlockSums(self._blocks.block_bytes)
        index_blocks.update(index)
        blocks = build_blocks(self._blocks, index_blocks)
        storage.write_bytes(self._path("idx"), index)
        storage.write_bytes(self._path("blocks"), blocks)
        self.num_documents, self.num_tokens = len(lengths), int(lengths.sum(dtype=np.int64))
        self.files = {
            f"{self.name}.bin": {"bytes": 4 * self.num_tokens, "xxh3": self._digest.hexdigest()},
            f"{self.name}.idx": bytes_entry(index),
            f"{self.name}.blocks": bytes_entry(blocks),
        }

    def entry(self) -> dict[str, Any]:
        """What the manifest says of the finished shard."""
        return {
            "name": self.name,
            "tokens": self.num_tokens,
            "documents": self.num_documents,
            "bytes": self.num_bytes,
            "files": self.files,
        }


def build_manifest(
    vocabulary: Vocabulary, entries: Sequence[dict[str, Any]], domain: str, split: str
) -> dict[str, Any]:
    """The manifest of a folder of shards, from what `TokenShardWriter.entry` said of each, in order."""
    files = {name: entry for shard in entries for name, entry in shard["files"].items()}
    shards = [{key: value for key, value in shard.items() if key != "files"} for shard in entries]
    return {
        "format": FORMAT,
        "dtype": DTYPE,
        "byte_order": "little",
        "domain": domain,
        "split": split,
        "tokenizer_hash": vocabulary.hash,
        "vocab_size": vocabulary.size,
        "model_vocab_size": vocabulary.model_size,
        "bos": vocabulary.bos,
        "eos": vocabulary.eos,
        "tokens": sum(shard["tokens"] for shard in shards),
        "documents": sum(shard["documents"] for shard in shards),
        "bytes": sum(shard["bytes"] for shard in shards),
        "block_bytes": BLOCK_BYTES,
        "shards": shards,
        "files": files,
    }


def begin_folder(folder: str) -> None:
    """Delete the manifest of an earlier run: until all shards are written anew, the folder is not to be opened.

    Raises UsageError where the folder cannot be written, and where it holds tables that belong to no shard: provenance
    has such names, and would replace them.
    """
    storage.require_writable(folder)
    files = {(name, suffix) for _, name, suffix in _shard_files(folder)}
    if others := sorted(name for name, suffix in files if suffix == "parquet" and (name, "bin") not in files):
        raise UsageError(
            f"{folder}: {others[0]}.parquet is there and belongs to no token shard; choose a folder of its own for the "
            "shards, they would replace such tables"
        )
    storage.delete(storage.join(folder, MANIFEST))


def write_manifest(folder: str, manifest: dict[str, Any]) -> None:
    """Write `manifest.json`, which makes the folder complete, and delete the shards of an earlier run that it lacks."""
    storage.write_json(storage.join(folder, MANIFEST), manifest)
    names = {shard["name"] for shard in manifest["shards"]}
    for path, name, _ in reversed(_shard_files(folder)):  # `.bin` last: what is left over always belongs to a shard
        if name not in names:
            storage.delete(path)


def _shard_files(folder: str) -> list[tuple[str, str, str]]:
    """(path, NNNNN, suffix) of the files in a folder that have the names of shards' files, sorted."""
    start = len(folder.rstrip("/")) + 1
    found = ((file.path, _SHARD_FILE.fullmatch(file.path[start:])) for file in storage.list_files(folder))
    return [(path, match[1], match[2]) for path, match in found if match]
