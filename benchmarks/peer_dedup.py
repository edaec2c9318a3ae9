"""Deduplication from Parquet to the ids that stay, by a peer; called by benchmarks/dedup_end_to_end.py.

usage: PEERS_PYTHON benchmarks/peer_dedup.py datatrove|datasketch|rensa DOCUMENTS.parquet en|zh OUT.json
Writes the ids that stay, and the seconds of CPU without imports and without loading the peer's dictionaries. datatrove
runs its example pipeline with its defaults; datasketch and rensa take the same number of minima, bands and threshold as
ours, and keep a document that is like none kept before it.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from peer_datatrove import LANGUAGES, deduplicate
from peer_signatures import shingles

THRESHOLD, BANDS, ROWS = 0.8, 20, 5


def documents(path: str) -> Iterator[tuple[str, str]]:
    """The id and the text of each row."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(1000, columns=["id", "text"], use_threads=False):
        yield from zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)


def with_datasketch() -> Callable[[str], list[str]]:
    """MinHash and MinHashLSH, with the estimate verified."""
    from datasketch import MinHash, MinHashLSH

    def keepers(path: str) -> list[str]:
        kept, index = {}, MinHashLSH(threshold=THRESHOLD, num_perm=BANDS * ROWS, params=(BANDS, ROWS))
        for name, text in documents(path):
            signature = MinHash(num_perm=BANDS * ROWS)
            signature.update_batch([shingle.encode() for shingle in shingles(text)])
            if all(signature.jaccard(kept[other]) < THRESHOLD for other in index.query(signature)):
                index.insert(name, signature)
                kept[name] = signature
        return list(kept)

    return keepers


def with_rensa() -> Callable[[str], list[str]]:
    """RMinHash and its deduplicator."""
    from rensa import RMinHash, RMinHashDeduplicator

    def keepers(path: str) -> list[str]:
        index = RMinHashDeduplicator(THRESHOLD, BANDS * ROWS, True, BANDS)
        kept = []
        for name, text in documents(path):
            signature = RMinHash(num_perm=BANDS * ROWS, seed=42)  # the seed its deduplicator expects
            signature.update(shingles(text))
            if index.add(name, signature):
                kept.append(name)
        return kept

    return keepers


def with_datatrove(language: str) -> Callable[[str], list[str]]:
    """The four stages, one after another."""
    if language == "zh":
        import jieba

        jieba.initialize()
    else:
        from datatrove.utils.word_tokenizers import load_word_tokenizer

        load_word_tokenizer(LANGUAGES[language]).word_tokenize("warm")
    return lambda path: deduplicate(path, language)[0]


def main() -> None:
    """Run one peer once."""
    peer, source, language, out = sys.argv[1:5]
    keepers = {
        "datatrove": lambda: with_datatrove(language),
        "datasketch": with_datasketch,
        "rensa": with_rensa,
    }[peer]()
    start = sum(os.times()[:4])
    kept = keepers(source)
    Path(out).write_text(json.dumps({"kept": kept, "seconds": sum(os.times()[:4]) - start}))


if __name__ == "__main__":
    main()
