"""A vocabulary from texts in one call."""

from typing import Any

import pyarrow as pa

from corpus.errors import HeadwaterError, UsageError
from corpus.io.document_table import as_documents
from tokenizer.alphabet import ALPHABET
from tokenizer.pretoken_counts import SCHEMA, PretokenCounter
from tokenizer.train import train
from tokenizer.vocabulary import Vocabulary


def train_vocabulary(
    texts: Any, vocab_size: int, *, min_frequency: int = 2, model_size: int | None = None
) -> Vocabulary:
    """Train a byte-level BPE vocabulary of `vocab_size` conventional tokens, the 243 bytes of UTF-8 included.

    `texts` is a table with `text` (string), see `corpus.io.document_table`, or the pieces of any number of tables,
    counted by a `PretokenCounter` (`result()`: `piece` large_binary, `count` int64). Pairs that occur less often than
    `min_frequency` are not merged, so the vocabulary may be smaller. 15 special tokens follow the conventional ones;
    `model_size` is how many rows the model has for them all (None: the next multiple of 128). Raises UsageError for a
    size that has no room for the bytes, HeadwaterError where there is no text.

    >>> vocabulary = train_vocabulary({"text": ["to be or not to be", "学而时习之，不亦说乎"]}, vocab_size=250)
    >>> len(vocabulary.tokens), vocabulary.tokens[243:245]
    (248, (b'\\xe4\\xb9', b'be'))
    """
    if vocab_size < len(ALPHABET):
        raise UsageError(f"vocab_size {vocab_size}: the bytes of UTF-8 alone are {len(ALPHABET)} tokens")
    if isinstance(texts, pa.Table) and texts.schema.equals(SCHEMA):
        counts = texts
    else:
        counter = PretokenCounter()
        counter.add(as_documents(texts)["text"])
        counts = counter.result()
    if not len(counts):
        raise HeadwaterError("there is no text to train a vocabulary on")
    return Vocabulary.from_merges(train(counts, vocab_size, min_frequency), model_size)
