"""fastokens on the texts of a file, one thread: run by `encode.py` with the Python of an environment that has it.

    RAYON_NUM_THREADS=1 PYTHON benchmarks/peer_fastokens.py tokenizer.json texts.json

Prints one JSON object: CPU seconds of one `encode_batch`, and all ids as the hash of their int32 bytes.
"""

import hashlib
import json
import sys
import time
from array import array
from pathlib import Path

from fastokens import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1])
texts = json.loads(Path(sys.argv[2]).read_text())
tokenizer.encode_batch(texts[:1])
start = time.process_time()
encoded = tokenizer.encode_batch(texts)
seconds = time.process_time() - start
ids = array("i")
for item in encoded:
    ids.extend(getattr(item, "ids", item))
print(json.dumps({"seconds": seconds, "hash": hashlib.sha256(ids.tobytes()).hexdigest()}))
