"""Signatures by datasketch, rensa and datatrove, as far as they are installed; called by benchmarks/signatures.py.

usage: PEERS_PYTHON benchmarks/peer_signatures.py TEXTS.json MINIMA
datasketch and rensa take 5-word shingles cut with a regular expression; datatrove uses its own tokenizer and shingles,
English or Chinese by the share of CJK characters.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

BUDGET = 10.0  # seconds a peer may take
WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|\w+?(?=[\u3400-\u9fff\uf900-\ufaff]|\b)")


def shingles(text: str) -> list[str]:
    """Overlapping runs of five words, a CJK character being a word."""
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))]


def measure(name: str, texts: Iterable[str], sign: Callable[[str], object]) -> None:
    """Sign documents until the budget is spent and print the speed."""
    start, done, size = time.process_time(), 0, 0
    for text in texts:
        sign(text)
        done += 1
        size += len(text.encode())
        if time.process_time() - start > BUDGET:
            break
    seconds = time.process_time() - start
    print(f"  {name:42} {size / 1e6 / seconds:9.2f} MB/s {done / seconds:12,.0f} documents/s", flush=True)


def main() -> None:
    """Measure each peer that can be imported."""
    texts, minima = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    try:
        from datasketch import MinHash

        def with_datasketch(text: str) -> object:
            signature = MinHash(num_perm=minima)
            signature.update_batch([shingle.encode() for shingle in shingles(text)])
            return signature

        measure("datasketch", texts, with_datasketch)
    except ImportError as error:
        print(f"  datasketch: {error}")
    try:
        from rensa import RMinHash

        def with_rensa(text: str) -> object:
            signature = RMinHash(num_perm=minima, seed=1)
            signature.update(shingles(text))
            return signature.digest()

        measure("rensa RMinHash", texts, with_rensa)
    except ImportError as error:
        print(f"  rensa: {error}")
    try:
        from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

        sample = "".join(texts[:50])
        chinese = len(re.findall(r"[\u4e00-\u9fff]", sample)) > len(sample) / 10
        step = MinhashDedupSignature("unused", MinhashConfig(), language="cmn_Hani" if chinese else "eng_Latn")
        step.get_signature(step.get_shingles(texts[0]))  # loads the tokenizer
        measure("datatrove, its defaults", texts, lambda text: step.get_signature(step.get_shingles(text)))
    except ImportError as error:
        print(f"  datatrove: {error}")


if __name__ == "__main__":
    main()
