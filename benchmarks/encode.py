"""Encoding: Headwater beside the library's `encode_batch`, one thread each, the same text and tokenizer, one run.

    python benchmarks/encode.py DATA/text/en DATA/text/zh DATA/code --tokenizer tokenizer.json [--megabytes 20]
        [--peers PYTHON]

`--peers` names the Python of an environment with `fastokens`, which is then measured on the same texts too. Prints a
line for each file or folder: MB/s of each (CPU time), the ratio, and whether all ids are equal. `cold` is a new encoder
that has seen nothing; `warm` has seen the file once.
"""

import hashlib
import json
import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
from arguments import add_peers, new_parser
from documents import string_column, tables_up_to
from peer_process import left_out_if_missing, run_peer

from tokenizer.encode import Encoder
from tokenizer.vocabulary import load_vocabulary

os.environ["TOKENIZERS_PARALLELISM"] = "false"


def fastokens(python: str, tokenizer: str, texts: list[str]) -> tuple[float, str]:
    """CPU seconds of fastokens with one thread, and the hash of its ids."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.json")
        path.write_text(json.dumps(texts))
        figures = run_peer(python, "peer_fastokens.py", tokenizer, path, environment={"RAYON_NUM_THREADS": "1"})
    return figures["seconds"], figures["hash"]


def main() -> None:
    """Measure and print."""
    parser = new_parser(__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--megabytes", type=float, default=20, help="of text, of each file or folder (default: 20)")
    add_peers(parser, "fastokens")
    arguments = parser.parse_args()
    vocabulary = load_vocabulary(arguments.tokenizer)
    library = vocabulary.build_tokenizer()
    library.encode_special_tokens = True
    Encoder(vocabulary).encode_column(pa.array(["compile é 中"]))
    print(f"{'file':40} {'cold':>8} {'warm':>8} {'library':>8} {'ratio':>6}  equal")
    for file in arguments.files:
        texts = [text for rows in tables_up_to([file], arguments.megabytes) for text in rows["text"].to_pylist()]
        size = sum(len(text.encode()) for text in texts) / 1e6
        column = string_column(texts)
        encoder = Encoder(vocabulary, eos=False)
        times = [time.process_time()]
        for _ in range(2):
            tokens, lengths = encoder.encode_column(column)
            times.append(time.process_time())
        expected = library.encode_batch(texts, add_special_tokens=False)
        times.append(time.process_time())
        cold, warm, theirs = (size / (after - before) for before, after in pairwise(times))
        equal = lengths.tolist() == [len(item.ids) for item in expected] and tokens.tolist() == [
            token for item in expected for token in item.ids
        ]
        print(f"{file[-40:]:40} {cold:8.1f} {warm:8.1f} {theirs:8.2f} {cold / theirs:6.1f}  {equal}", flush=True)
        if arguments.peers:
            with left_out_if_missing("fastokens"):
                seconds, found = fastokens(arguments.peers, arguments.tokenizer, texts)
                same = found == hashlib.sha256(tokens.tobytes()).hexdigest()
                ratio = cold * seconds / size
                print(f"{'  fastokens':40} {size / seconds:8.1f} MB/s; ours {ratio:.1f} times that; equal {same}")


if __name__ == "__main__":
    main()
