"""From a token back to its document: which document a position of a token shard belongs to.

A shard's provenance lists its documents in order with the first token of each, so the document of a position is the
last that begins there or before. So a strange sample of a training run (`TokenStream.provenance`) leads to a page.
"""

import numpy as np

from corpus.errors import UsageError
from corpus.io import storage, table

FORM = "SHARD:POSITION, e.g. tokens/domain=web-en/00000.bin:12345"


def document_at(root: str, token: str) -> str:
    """The id of the document that a token belongs to; `token` is `SHARD:POSITION`, the shard's path relative to `root`.

    Raises UsageError where there is no such shard or position.
    """
    shard, colon, number = token.rpartition(":")
    if not colon or not number.isdecimal():
        raise UsageError(f"--token {token}: give {FORM}")
    path = storage.join(root, shard.removesuffix(".bin") + ".parquet")
    if not storage.exists(path):
        raise UsageError(f"--token {token}: there is no {path}; give {FORM}")
    rows = table.read_table(path, ["id", "offset", "tokens"])
    position, starts = int(number), rows["offset"].to_numpy()
    row = int(np.searchsorted(starts, position, side="right")) - 1
    if row < 0 or position >= starts[-1] + rows["tokens"][-1].as_py():
        last = 0 if not len(rows) else starts[-1] + rows["tokens"][-1].as_py()
        raise UsageError(f"--token {token}: the shard has {last:,} tokens, counted from 0")
    return str(rows["id"][row].as_py())
