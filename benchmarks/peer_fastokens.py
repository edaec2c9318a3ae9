"""fastokens on the texts of a file, one thread: run by `encode.py` with the Python of an environment that has it.

    RAYON_NUM_THREADS=1 PEERS_PYTHON benchmarks/peer_fastokens.py TOKENIZER.json TEXTS.json

Prints one JSON object: CPU seconds of one `encode_batch`, and all ids as the hash of their int32 bytes.
"""

import hashlib
import json
import time
from array import array
from pathlib import Path

from arguments import new_parser


def main() -> None:
    """Encode and print."""
    parser = new_parser(__doc__)
    parser.add_argument("tokenizer", metavar="TOKENIZER.json")
    parser.add_argument("texts", metavar="TEXTS.json", help="a JSON list of strings")
    arguments = parser.parse_args()
    from fastokens import Tokenizer

    tokenizer = Tokenizer.from_file(arguments.tokenizer)
    texts = json.loads(Path(arguments.texts).read_text())
    tokenizer.encode_batch(texts[:1])
    start = time.process_time()
    encoded = tokenizer.encode_batch(texts)
    seconds = time.process_time() - start
    ids = array("i")
    for item in encoded:
        ids.extend(getattr(item, "ids", item))
    print(json.dumps({"seconds": seconds, "hash": hashlib.sha256(ids.tobytes()).hexdigest()}))


if __name__ == "__main__":
    main()
