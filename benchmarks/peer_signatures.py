"""Signatures by datasketch, rensa and datatrove, as far as they are installed; driven by benchmarks/signatures.py.

    PEERS_PYTHON benchmarks/peer_signatures.py TEXTS.json MINIMA SECONDS

Prints a line of JSON with the names of the peers that can be imported. Then, for each such name read from standard
input, lets that peer sign the texts from the first on for about so many seconds of process time. Prints a line of
JSON with the bytes and the documents it signed a second. datasketch and rensa take 5-word shingles cut with a regular
expression; datatrove uses its own tokenizer and shingles, English or Chinese by the share of CJK characters.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from arguments import new_parser

Sign = Callable[[str], object]
WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|\w+?(?=[\u3400-\u9fff\uf900-\ufaff]|\b)")


def shingles(text: str) -> list[str]:
    """Overlapping runs of five words, a CJK character being a word."""
    words = WORD.findall(text.lower())
    return [" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))]


def with_datasketch(texts: list[str], minima: int) -> Sign:
    """`MinHash` as its documentation has it, the shingles of a document at once."""
    from datasketch import MinHash

    def sign(text: str) -> object:
        signature = MinHash(num_perm=minima)
        signature.update_batch([shingle.encode() for shingle in shingles(text)])
        return signature

    return sign


def with_rensa(texts: list[str], minima: int) -> Sign:
    """`RMinHash`, its fastest."""
    from rensa import RMinHash

    def sign(text: str) -> object:
        signature = RMinHash(num_perm=minima, seed=1)
        signature.update(shingles(text))
        return signature.digest()

    return sign


def with_datatrove(texts: list[str], minima: int) -> Sign:
    """The signature step at its defaults, 14 buckets of 8, its tokenizer loaded."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

    sample = "".join(texts[:50])
    chinese = len(re.findall(r"[\u4e00-\u9fff]", sample)) > len(sample) / 10
    step = MinhashDedupSignature("unused", MinhashConfig(), language="cmn_Hani" if chinese else "eng_Latn")
    step.get_signature(step.get_shingles(texts[0]))
    return lambda text: step.get_signature(step.get_shingles(text))


def measure(texts: list[str], sign: Sign, seconds: float) -> tuple[float, float]:
    """Bytes and documents per second over the first texts, as many as can be signed in so many seconds."""
    start, spent, done = time.process_time(), 0.0, 0
    for text in texts:
        sign(text)
        done += 1
        spent = time.process_time() - start
        if spent > seconds:
            break
    return sum(len(text.encode()) for text in texts[:done]) / spent, done / spent


def main() -> None:
    """Measure what is asked for, until the input ends."""
    parser = new_parser(__doc__)
    parser.add_argument("texts", metavar="TEXTS.json")
    parser.add_argument("minima", type=int)
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    texts = json.loads(Path(arguments.texts).read_text())
    peers: dict[str, Sign] = {}
    for name, peer in (("datasketch", with_datasketch), ("rensa", with_rensa), ("datatrove", with_datatrove)):
        try:
            peers[name] = peer(texts, arguments.minima)
        except ImportError as error:
            print(f"  {name}: {error}", file=sys.stderr)
    print(json.dumps(list(peers)), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(texts, peers[json.loads(line)], arguments.seconds)), flush=True)


if __name__ == "__main__":
    main()
