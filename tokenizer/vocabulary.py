"""A vocabulary: tokens, merges and special tokens, as `tokenizer.json` holds them.

Ids are laid out as in the paper's model. First the N conventional tokens: 243 bytes and N - 243 merges. Then 15 special
ones: N is begin-of-sentence, N + 1 end-of-sentence, and N + 2 to N + 14 are the bytes that never occur in UTF-8, so
that any bytes at all can be encoded. N = 100,000 gives the paper's 100,015. The model may have more rows than that
(the paper: 102,400), so that its embedding divides evenly.

The 13 bytes are ordinary entries of the vocabulary here. In the paper's model they are `added_tokens`, which the
library looks for in the text before anything else. So a German "ü" in a page becomes the token of the byte FC and
decodes to garbage. The ids are the same; only that fault is left out."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash
from tokenizers import AddedToken, Tokenizer, decoders, models

from corpus.errors import HeadwaterError
from corpus.io import storage
from tokenizer.alphabet import ALPHABET, NEVER_IN_UTF8, SYMBOLS, from_symbols, to_symbols
from tokenizer.pretokenizer import build_components
from tokenizer.train import Merges

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
SPECIAL_TOKENS = 2 + len(NEVER_IN_UTF8)
# Options of the library's BPE model that change ids, and that are not implemented here.
_CHANGE_IDS = ("dropout", "byte_fallback", "ignore_merges", "continuing_subword_prefix", "end_of_word_suffix")
PAD_MULTIPLE = 128  # rows of the model's vocabulary where none are asked for: a multiple that divides over tensor ranks


@dataclass(frozen=True)
class Vocabulary:
    """`tokens`: the bytes of the conventional tokens by id. `pairs`, `made`: merges by rank, as in `Merges`."""

    tokens: tuple[bytes, ...]
    pairs: npt.NDArray[np.int32]
    made: npt.NDArray[np.int32]
    requested_model_size: int | None = None

    def __post_init__(self) -> None:
        if self.requested_model_size is not None and self.requested_model_size < self.size:
            raise HeadwaterError(
                f"a model vocabulary of {self.requested_model_size:,} rows cannot hold {self.size:,} tokens "
                f"({len(self.tokens):,} conventional and {SPECIAL_TOKENS} special)"
            )

    @classmethod
    def from_merges(cls, merges: Merges, model_size: int | None = None) -> "Vocabulary":
        """The vocabulary of a training; `model_size` as `requested_model_size`."""
        return cls(tuple(merges.tokens), merges.pairs, merges.made, model_size)

    @property
    def size(self) -> int:
        """All tokens: conventional and special."""
        return len(self.tokens) + SPECIAL_TOKENS

    @property
    def model_size(self) -> int:
        """Rows of the model's embedding: what was asked for, or the next multiple of PAD_MULTIPLE."""
        return self.requested_model_size or -(-self.size // PAD_MULTIPLE) * PAD_MULTIPLE

    @property
    def bos(self) -> int:
        """The id of begin-of-sentence."""
        return len(self.tokens)

    @property
    def eos(self) -> int:
        """The id of end-of-sentence, which is also the padding."""
        return len(self.tokens) + 1

    @cached_property
    def byte_ids(self) -> npt.NDArray[np.int32]:
        """The id of the token of each byte: int32[256]."""
        ids = np.empty(256, np.int32)
        ids[list(ALPHABET)] = np.arange(len(ALPHABET), dtype=np.int32)
        ids[list(NEVER_IN_UTF8)] = np.arange(self.eos + 1, self.size, dtype=np.int32)
        return ids

    def decode(self, ids: npt.ArrayLike) -> bytes:
        """The bytes that a sequence of ids stands for; BOS and EOS stand for none."""
        table = [*self.tokens, b"", b"", *(bytes([byte]) for byte in NEVER_IN_UTF8)]
        return b"".join(table[item] for item in np.asarray(ids).tolist())

    @cached_property
    def hash(self) -> str:
        """What token shards and models are checked against: xxh3 of everything that decides ids, 32 hex digits."""
        parts = {"tokens": [token.hex() for token in self.tokens], "pairs": self.pairs.tolist()}
        layout = {"bos": [BOS, self.bos], "eos": [EOS, self.eos], "bytes": self.byte_ids.tolist()}
        components = json.loads(build_components().__getstate__())
        text = json.dumps([parts, layout, components], sort_keys=True, separators=(",", ":"))
        return xxhash.xxh3_128_hexdigest(text.encode())

    def build_tokenizer(self) -> Tokenizer:
        """The vocabulary as a `tokenizers.Tokenizer`."""
        symbols = [to_symbols(token) for token in self.tokens]
        names = [*symbols, BOS, EOS, *(SYMBOLS[byte] for byte in NEVER_IN_UTF8)]
        merges = [(symbols[left], symbols[right]) for left, right in self.pairs.tolist()]
        tokenizer = Tokenizer(models.BPE({name: at for at, name in enumerate(names)}, merges))
        tokenizer.pre_tokenizer = build_components()
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in (BOS, EOS)])
        return tokenizer

    def save(self, path: str) -> None:
        """Write `tokenizer.json` and, beside it, the `tokenizer_config.json` that `transformers` wants."""
        storage.write_json(storage.join(_folder(path), "tokenizer_config.json"), self._config())
        storage.write_bytes(path, (self.build_tokenizer().to_str(pretty=True) + "\n").encode())

    def _config(self) -> dict[str, Any]:
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": EOS,
            "pad_token": EOS,
            "clean_up_tokenization_spaces": False,
            "headwater": {"hash": self.hash, "vocab_size": self.size, "model_vocab_size": self.model_size},
        }


def load_vocabulary(path: str, model_size: int | None = None) -> Vocabulary:
    """Read a `tokenizer.json` of the layout above.

    `model_size` defaults to what `tokenizer_config.json` beside it says. Raises HeadwaterError, saying what does not
    fit, for a file that is missing, is no byte-level BPE, cuts text in another way, or does not split digits singly.
    """
    try:
        value = storage.read_json(path)
    except FileNotFoundError:
        raise HeadwaterError(f"{path}: no such file; `headwater tokenizer train` makes one") from None
    try:
        vocabulary = _parse(value, path)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise HeadwaterError(f"{path}: not a byte-level BPE tokenizer.json ({error!r})") from None
    config = storage.join(_folder(path), "tokenizer_config.json")
    if model_size is None and storage.exists(config):
        try:
            model_size = storage.read_json(config).get("headwater", {}).get("model_vocab_size")
            model_size = None if model_size is None else int(model_size)
        except (AttributeError, TypeError, ValueError):
            raise HeadwaterError(f"{config}: not the settings of a tokenizer; delete it or make it anew") from None
    return Vocabulary(vocabulary.tokens, vocabulary.pairs, vocabulary.made, model_size)


def _parse(value: dict[str, Any], path: str) -> Vocabulary:
    model = value["model"]
    if model["type"] != "BPE" or any(model.get(key) for key in _CHANGE_IDS):
        raise HeadwaterError(f"{path}: not a plain BPE model (without {', '.join(_CHANGE_IDS)})")
    digits = [step for step in value["pre_tokenizer"].get("pretokenizers", []) if step["type"] == "Digits"]
    if not digits or not all(step["individual_digits"] for step in digits):
        raise HeadwaterError(f"{path}: its pre-tokenizer does not split digits one by one")
    if value["pre_tokenizer"] != json.loads(build_components().__getstate__()) or value.get("normalizer"):
        raise HeadwaterError(f"{path}: its pre-tokenizer is not the paper's, and only that one is implemented")
    names = {item["content"]: item["id"] for item in value["added_tokens"]}
    if set(names) != {BOS, EOS}:
        raise HeadwaterError(f"{path}: its added tokens should be {BOS} and {EOS} alone, they are {sorted(names)}")
    ids: dict[str, int] = model["vocab"]
    count = len(ids) - SPECIAL_TOKENS
    by_id = sorted(ids, key=ids.__getitem__)
    expected = [BOS, EOS, *(SYMBOLS[byte] for byte in NEVER_IN_UTF8)]
    start = [SYMBOLS[byte] for byte in ALPHABET]
    in_order = [ids[name] for name in by_id] == list(range(len(ids)))
    if not in_order or by_id[count:] != expected or names != {BOS: count, EOS: count + 1}:
        raise HeadwaterError(
            f"{path}: its ids are not conventional tokens followed by the {SPECIAL_TOKENS} special ones"
        )
    if by_id[: len(start)] != start:
        raise HeadwaterError(f"{path}: its vocabulary does not begin with the {len(start)} bytes of UTF-8")
    merges = [pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"]]
    if len(set(map(tuple, merges))) < len(merges):
        raise HeadwaterError(f"{path}: some merge is listed twice")
    pairs = np.array([[ids[left], ids[right]] for left, right in merges], np.int32).reshape(-1, 2)
    made = np.array([ids[left + right] for left, right in merges], np.int32)
    if len(made) and max(pairs.max(), made.max()) >= count:
        raise HeadwaterError(f"{path}: some merge joins or makes a special token")
    return Vocabulary(tuple(from_symbols(name) for name in by_id[:count]), pairs, made)


def _folder(path: str) -> str:
    return path.rsplit("/", 1)[0] if "/" in path else "."
