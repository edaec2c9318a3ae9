"""Checksums of files: xxh3 with 128 bits, in 32 hexadecimal digits, of all bytes as they are stored."""

from typing import Any

import xxhash

from corpus.io import storage

_READ = 1 << 22  # bytes a read


def file_checksum(path: str) -> str:
    """The checksum of a file, local or remote; raises OSError where it cannot be read."""
    return str(file_entry(path)["xxh3"])


def file_entry(path: str) -> dict[str, Any]:
    """`{"bytes": size, "xxh3": checksum}` of a file, as manifests and stamps list it; raises OSError."""
    digest, length = xxhash.xxh3_128(), 0
    with storage.open_input(path) as file:
        while block := file.read(_READ):
            digest.update(block)
            length += len(block)
    return {"bytes": length, "xxh3": digest.hexdigest()}


def bytes_entry(data: bytes) -> dict[str, Any]:
    """`file_entry` of a file that holds these bytes."""
    return {"bytes": len(data), "xxh3": xxhash.xxh3_128_hexdigest(data)}
