"""Byte-level BPE: training, encoding, and the token shards that a trainer reads. Ids are those of `tokenizers`.

A vocabulary is trained on texts (a table, see `corpus`), and saved as a `tokenizer.json` that `tokenizers` and
`transformers` open:

>>> import tokenizer
>>> texts = ["The river is wide, and the bridge over the river is old.", "河很宽，河上的桥很老。河水很清。"]
>>> vocabulary = tokenizer.train_vocabulary({"text": texts}, vocab_size=260)
>>> vocabulary.save("tokenizer.json")
>>> vocabulary.hash == tokenizer.load_vocabulary("tokenizer.json").hash
True

An `Encoder` turns columns of text into ids. `tokens` are those of all documents end to end, `lengths` says how many
each document has, its end-of-sentence token included:

>>> import pyarrow as pa
>>> encoder = tokenizer.Encoder(vocabulary)
>>> tokens, lengths = encoder.encode_column(pa.array(["the river", "河"]))
>>> assert lengths.sum() == len(tokens) and tokens[-1] == vocabulary.eos  # int32, int32
>>> vocabulary.decode(tokens).decode()
'the river河'

Token shards are a Megatron pair of `.bin` and `.idx` with a manifest. `train.TokenStream` reads them:

>>> manifest = tokenizer.write_tokens({"id": ["en", "zh"], "text": texts}, vocabulary, "tokens/domain=mixed")
>>> shards = tokenizer.open_shards("tokens/domain=mixed", tokenizer_hash=vocabulary.hash)
>>> shards.num_tokens == manifest["tokens"], manifest["documents"]
(True, 2)
>>> vocabulary.decode(shards.tokens(0)[: shards.document_offsets(0)[1]]).decode()
'The river is wide, and the bridge over the river is old.'
"""

from typing import TYPE_CHECKING

from corpus.lazy import lazy_exports

if TYPE_CHECKING:
    from tokenizer.encode import Encoder as Encoder
    from tokenizer.pretoken_counts import PretokenCounter as PretokenCounter
    from tokenizer.pretoken_counts import merge_counts as merge_counts
    from tokenizer.shard_writer import TokenShardWriter as TokenShardWriter
    from tokenizer.shard_writer import build_manifest as build_manifest
    from tokenizer.shard_writer import write_manifest as write_manifest
    from tokenizer.shards import TokenShards as TokenShards
    from tokenizer.shards import open_shards as open_shards
    from tokenizer.token_writing import write_tokens as write_tokens
    from tokenizer.vocabulary import Vocabulary as Vocabulary
    from tokenizer.vocabulary import load_vocabulary as load_vocabulary
    from tokenizer.vocabulary_training import train_vocabulary as train_vocabulary
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "tokenizer.encode": ["Encoder"],
            "tokenizer.pretoken_counts": ["PretokenCounter", "merge_counts"],
            "tokenizer.shard_writer": ["TokenShardWriter", "build_manifest", "write_manifest"],
            "tokenizer.shards": ["TokenShards", "open_shards"],
            "tokenizer.vocabulary_training": ["train_vocabulary"],
            "tokenizer.vocabulary": ["Vocabulary", "load_vocabulary"],
            "tokenizer.token_writing": ["write_tokens"],
        },
    )
