"""Deduplication from Parquet to the ids that stay, by a peer; called by benchmarks/dedup_end_to_end.py.

    PEERS_PYTHON benchmarks/peer_dedup.py datatrove|datasketch|rensa DOCUMENTS.parquet en|zh

Prints a JSON line of the ids that stay, and the seconds of CPU without imports and without loading the peer's
dictionaries. datatrove runs its example pipeline with its defaults. Datasketch and rensa take the same number of
minima, bands and threshold as ours, and keep a document that is like none kept before it.
"""

import json
import os
from collections.abc import Callable, Iterator

from arguments import new_parser
from peer_datatrove import LANGUAGES, deduplicate
from peer_signatures import shingles

THRESHOLD, BANDS, ROWS = 0.8, 20, 5


def documents(path: str) -> Iterator[tuple[str, str]]:
    """The id and the text of each row."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(1000, columns=["id", "text"], use_threads=False):
        yield from zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)


def with_datasketch(language: str) -> Callable[[str], list[str]]:
    """MinHash and MinHashLSH, with the estimate verified."""
    from datasketch import MinHash, MinHashLSH

    def keepers(path: str) -> list[str]:
        kept: dict[str, MinHash] = {}
        index = MinHashLSH(threshold=THRESHOLD, num_perm=BANDS * ROWS, params=(BANDS, ROWS))
        for name, text in documents(path):
            signature = MinHash(num_perm=BANDS * ROWS)
            signature.update_batch([shingle.encode() for shingle in shingles(text)])
            if all(signature.jaccard(kept[other]) < THRESHOLD for other in index.query(signature)):
                index.insert(name, signature)
                kept[name] = signature
        return list(kept)

    return keepers


def with_rensa(language: str) -> Callable[[str], list[str]]:
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
    peers = {"datatrove": with_datatrove, "datasketch": with_datasketch, "rensa": with_rensa}
    parser = new_parser(__doc__)
    parser.add_argument("peer", choices=list(peers))
    parser.add_argument("documents")
    parser.add_argument("language", choices=list(LANGUAGES))
    arguments = parser.parse_args()
    keepers = peers[arguments.peer](arguments.language)
    start = sum(os.times()[:4])
    kept = keepers(arguments.documents)
    seconds = sum(os.times()[:4]) - start
    print()
    print(json.dumps({"kept": kept, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
