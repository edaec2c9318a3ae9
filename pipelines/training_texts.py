"""The labelled texts that judges are trained on: plain files, cut down to one language and to a number of documents.

Which documents are taken, where there are too many, is decided by a hash of their text. So it does not depend on the
order of files, or on chance."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import xxhash

from corpus.errors import UsageError
from corpus.io import storage
from corpus.io.checksum import file_checksum
from corpus.io.plain_files import read_batches, utf8_texts
from corpus.language import LanguageIdentifier

_PARTS_OF_NAME = 2  # of a file's path, from its end, that a model card shows


def read_texts(
    patterns: Iterable[str], text_column: str, language: str | None, documents: int
) -> tuple[pa.ChunkedArray, list[dict[str, str]]]:
    """The texts of files, folders and globs, and for each file its name and hash.

    With a language, only texts identified as being in it; at most `documents` different ones, those with the lowest
    hashes, in the order of the hashes. Raises UsageError where a pattern names nothing or a row cannot be read.
    """
    files = [file for pattern in patterns for file in storage.expand(pattern)]
    identifier = LanguageIdentifier() if language else None
    chosen: dict[int, str] = {}
    for texts in (texts for file in files for texts in _texts(file, text_column)):
        if identifier is not None:
            found = identifier.identify(texts).language
            texts = [text for text, name in zip(texts, found) if name == language]
        chosen.update((xxhash.xxh3_64_intdigest(text.encode()), text) for text in texts)
        if len(chosen) > 2 * documents:
            chosen = _lowest(chosen, documents)
    chosen = _lowest(chosen, documents)
    return pa.chunked_array([pa.array(chosen.values(), pa.large_string())]), sources(files)


def _texts(file: str, text_column: str) -> Iterator[list[str]]:
    for batch in read_batches(file, {"text": text_column}):
        for bad in batch.bad:
            mend = "mend or leave out the file, a model should not be trained on part of it"
            raise UsageError(f"{bad.describe(file)}; {mend}")
        yield utf8_texts(batch.rows["text"]).to_pylist()


def sources(files: Sequence[str]) -> list[dict[str, str]]:
    """Name and xxh3 of each file."""
    return [
        {"name": "/".join(PurePosixPath(file).parts[-_PARTS_OF_NAME:]), "xxh3": file_checksum(file)} for file in files
    ]


def _lowest(chosen: dict[int, str], count: int) -> dict[int, str]:
    keys = np.sort(np.fromiter(chosen, np.uint64, len(chosen)))[:count]
    return {int(key): chosen[int(key)] for key in keys}
