"""The order of documents: values that shards on disk depend on."""

import pyarrow as pa

from tokenizer.order import document_hashes


def test_values_of_today() -> None:
    ids = pa.array(["a", "doc-17", "<urn:uuid:x>"])
    assert document_hashes(ids, 42).tolist() == [0xC7B59E33C8C369DC, 0x2C22479BD63E1CD6, 0x6A3C11A08679DB38]
