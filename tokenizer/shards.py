"""Reading token shards: a folder of `.bin`/`.idx` pairs under one `manifest.json`.

A folder of tokens that is read with the wrong data type, tokenizer or length trains a model on noise without any error.
So `open_shards` checks the manifest against the caller's tokenizer and every file against the manifest, and says which
file is wrong and what to do. Tokens are memory-mapped, never copied. The manifest says how many tokens and documents
each shard has and how long its files are. So a reader of an object store needs one small file to know the whole corpus,
and ranged reads for the rest.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from corpus.errors import CorruptShard, HeadwaterError
from corpus.io import storage
from corpus.io.checksum import file_checksum
from tokenizer.shard_format import DTYPE, ITEM_BYTES, index_bytes, parse_index

MANIFEST = "manifest.json"
FORMAT = "headwater-tokens/1"


@dataclass(frozen=True)
class Shard:
    """One `.bin`/`.idx` pair: where it is and what it holds. `num_bytes` counts the UTF-8 bytes of the text that the
    tokens encode (what bits per byte divides by)."""

    path: str
    index_path: str
    num_tokens: int
    num_documents: int
    num_bytes: int


class TokenShards:
    """The shards of one folder, in order. Made by `open_shards`.

    `fingerprint` is a hash of their contents: the checksums of tokens and indexes, as the manifest has them, in order.
    """

    def __init__(self, folder: str, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        base = folder.rstrip("/")
        self.shards = [
            Shard(
                f"{base}/{entry['name']}.bin",
                f"{base}/{entry['name']}.idx",
                entry["tokens"],
                entry["documents"],
                entry["bytes"],
            )
            for entry in manifest["shards"]
        ]
        self.num_tokens = sum(shard.num_tokens for shard in self.shards)
        self.num_documents = sum(shard.num_documents for shard in self.shards)
        self.num_bytes = sum(shard.num_bytes for shard in self.shards)
        self.checksums = {name: str(entry["xxh3"]) for name, entry in manifest["files"].items()}
        names, sums = [entry["name"] for entry in manifest["shards"]], self.checksums
        content = "".join(f"{sums[f'{name}.bin']} {sums[f'{name}.idx']}\n" for name in names)
        self.fingerprint = xxhash.xxh3_128_hexdigest(content.encode())
        self._offsets = lru_cache(maxsize=16)(self._read_offsets)

    def __reduce__(self) -> tuple[type["TokenShards"], tuple[str, Mapping[str, Any]]]:
        return (TokenShards, (self.folder, self.manifest))

    def tokens(self, index: int) -> npt.NDArray[np.int32]:
        """The tokens of a shard, int32[num_tokens], memory-mapped and read-only. The shard must be a local file.

        Raises CorruptShard where the file's size is not what the manifest says.
        """
        shard = self.shards[index]
        if storage.scheme(shard.path) != "file":
            raise HeadwaterError(f"{shard.path}: only local shards can be memory-mapped; use storage.read_range")
        _check_size(shard.path, shard.num_tokens * ITEM_BYTES)
        if not shard.num_tokens:
            return np.zeros(0, np.int32)
        return np.memmap(shard.path, "<i4", "r", shape=(shard.num_tokens,))

    def document_offsets(self, index: int) -> npt.NDArray[np.int64]:
        """Where each document begins, in tokens: int64[num_documents + 1], the last is the shard's length.

        Document d of the shard is `tokens(index)[offsets[d]:offsets[d + 1]]`. Raises CorruptShard where the `.idx`
        contradicts itself or the manifest.
        """
        return self._offsets(index)

    def _read_offsets(self, index: int) -> npt.NDArray[np.int64]:
        shard = self.shards[index]
        offsets = parse_index(storage.read_bytes(shard.index_path), shard.index_path)
        if len(offsets) - 1 != shard.num_documents or offsets[-1] != shard.num_tokens:
            found = f"{len(offsets) - 1:,} documents and {offsets[-1]:,} tokens"
            raise CorruptShard(
                shard.index_path,
                f"it lists {found}, the manifest {shard.num_documents:,} and {shard.num_tokens:,}",
            )
        offsets.flags.writeable = False
        return offsets

    def verify(self) -> None:
        """Read every byte: checksums, indexes, and (on a local disk) that no token is outside the vocabulary.

        Raises CorruptShard.
        """
        vocabulary = self.manifest["vocab_size"]
        for number, shard in enumerate(self.shards):
            blocks = shard.path.removesuffix("bin") + "blocks"
            listed = blocks.rsplit("/", 1)[1] in self.checksums
            for path in (shard.path, shard.index_path, *([blocks] if listed else [])):
                if _checksum(path) != self.checksums.get(path.rsplit("/", 1)[1]):
                    raise CorruptShard(path, "its checksum is not the manifest's")
            self.document_offsets(number)
            if storage.scheme(shard.path) != "file":
                continue
            tokens = self.tokens(number)
            if len(tokens) and (tokens.min() < 0 or tokens.max() >= vocabulary):
                raise CorruptShard(shard.path, f"it holds tokens outside the vocabulary of {vocabulary:,}")


def open_shards(
    folder: str, tokenizer_hash: str | None = None, vocab_size: int | None = None, verify: bool = False
) -> TokenShards:
    """Open a folder of token shards.

    `tokenizer_hash` is the hash the tokens must have been made with (`Vocabulary.hash`), `vocab_size` the number of
    rows of the model that will read them: both refuse on mismatch. `verify` reads every byte. Raises HeadwaterError
    for what is not a folder of token shards or does not fit, CorruptShard for files that are cut short or altered.
    """
    path = storage.join(folder, MANIFEST)
    try:
        manifest = storage.read_json(path)
    except FileNotFoundError:
        raise HeadwaterError(f"{folder}: no {MANIFEST}, so not a (finished) folder of token shards") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise HeadwaterError(f"{path}: not a manifest of token shards (`format` should be {FORMAT!r})")
    try:
        shards = TokenShards(folder, manifest)
        dtype, made_with, rows = manifest["dtype"], manifest["tokenizer_hash"], int(manifest["vocab_size"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HeadwaterError(f"{path}: an entry is missing or wrong ({error!r}); make the shards again") from None
    if dtype != DTYPE:
        raise HeadwaterError(f"{path}: tokens of type {dtype}, only {DTYPE} is read; make them again")
    if tokenizer_hash is not None and made_with != tokenizer_hash:
        raise HeadwaterError(
            f"{folder}: made with tokenizer {made_with}, but {tokenizer_hash} is in use; "
            "run the tokens stage again with this tokenizer"
        )
    if vocab_size is not None and rows > vocab_size:
        raise HeadwaterError(f"{folder}: tokens of a vocabulary of {rows:,}, but the model has {vocab_size:,} rows")
    if storage.scheme(folder) == "file":  # a request per file would make opening slow; readers of blocks check these
        for shard in shards.shards:
            _check_size(shard.path, shard.num_tokens * ITEM_BYTES)
            _check_size(shard.index_path, index_bytes(shard.num_documents))
    if verify:
        shards.verify()
    return shards


def _check_size(path: str, expected: int) -> None:
    try:
        found = os.stat(path).st_size
    except FileNotFoundError:
        raise CorruptShard(path, "the file is missing") from None
    if found != expected:
        raise CorruptShard(path, f"{found:,} bytes, the manifest says {expected:,}")


def _checksum(path: str) -> str:
    try:
        return file_checksum(path)
    except FileNotFoundError:
        raise CorruptShard(path, "the file is missing") from None
