"""Encoding: a column of documents to token ids, the same ids as the `tokenizers` library's.

Text is ordinary text: `<｜end▁of▁sentence｜>` in a web page is encoded as the characters it is made of, never as the
special token. So no page can write a document boundary into the corpus (in the library: `encode_special_tokens =
True`). The special token is added by `Encoder` behind each document (and BOS before it, where asked for). Pretokens
repeat, so the ids of a pretoken are remembered (`bytes_table`); one that is new is joined by rank (`join`). Clauses of
Chinese, which do not repeat, are cut into parts that do (`bridges`)."""

import numpy as np
import pyarrow as pa
from numba import njit

from corpus.io.buffers import utf8_buffers
from corpus.kernels.bytes_table import FIELDS, LENGTH, VALUE, add, find, new_table
from corpus.kernels.hashing import hash_short_key
from corpus.kernels.memory import prefetch
from corpus.kernels.types import I32, I64, U8, U64
from tokenizer.bpe_merge import SHORT, join
from tokenizer.characters import class_table
from tokenizer.cjk_boundaries import cut_clauses, find_bridges
from tokenizer.initial_tokens import first_symbols
from tokenizer.merge_ranks import rank_table
from tokenizer.pretokenizer import new_memo, scan
from tokenizer.vocabulary import Vocabulary

_CHUNK = 1024  # pretokens per scan
_SLOTS = 1 << 20
_ID_BITS, _ID = 28, (1 << 28) - 1  # of an id in a slot
_CACHED = 128  # bytes of the longest pretoken that is remembered, at most 255; longer ones hardly repeat

# The value of a slot: how many ids the pretoken has, in the lowest 8 bits; above them up to two ids, or where more than
# two begin in the array of ids.

# How full the memory of pretokens is: its slots, bytes and ids.
_USED, _ARENA_USED, _IDS_USED = range(3)


class Encoder:
    """Encodes columns of text with one vocabulary. It keeps a memory of pretokens: use one per thread."""

    def __init__(self, vocabulary: Vocabulary, bos: bool = False, eos: bool = True) -> None:
        """`bos`, `eos`: whether each document gets BOS before and EOS behind it."""
        self.vocabulary = vocabulary
        self._before = vocabulary.bos if bos else -1
        self._after = vocabulary.eos if eos else -1
        self._ranks = rank_table(vocabulary.pairs)
        self._made = np.column_stack([vocabulary.pairs, vocabulary.made]).ravel()  # left, right, what they make
        self._byte_ids = vocabulary.byte_ids
        self._characters = first_symbols(vocabulary.tokens, self._byte_ids, vocabulary.pairs, vocabulary.made)
        self._slots, self._arena = new_table(_SLOTS, _SLOTS // 2 * _CACHED)
        self._ids = np.empty(_SLOTS // 2 * _CACHED, np.int32)
        special = vocabulary.size - len(vocabulary.tokens)
        self._sizes = np.array([len(token) for token in vocabulary.tokens] + [1] * special, np.int32)
        self._bridges = find_bridges(vocabulary.tokens, vocabulary.pairs, self._characters)
        self._ends = np.empty(_CHUNK, np.int64)
        self._cuts = np.empty(2 * _CHUNK, np.int64)
        self._hashes = np.empty(2 * _CHUNK, np.uint64)
        self._state = np.zeros(3, np.int64)
        self.encode_column(
            pa.array(vocabulary.tokens, pa.large_binary())
        )  # most pretokens are a token, so begin with these

    def encode_column(self, column: pa.Array | pa.ChunkedArray) -> tuple[I32, I32]:
        """Encode a string column: `(tokens, lengths)`, the ids of all documents end to end (int32) and how many each
        has (int32[rows]). Nulls are empty documents. Bytes that are not UTF-8 are encoded so that they decode to
        themselves."""
        return self.encode_buffers(*utf8_buffers(column))

    def encode_buffers(self, data: U8, offsets: I64) -> tuple[I32, I32]:
        """As `encode_column`, for what `corpus.io.buffers.utf8_buffers` returns."""
        lengths = np.zeros(len(offsets) - 1, np.int32)
        # Room for an id a byte, which is much too much: only memory that is written to is taken, and the rest given up.
        tokens = np.empty(offsets[-1] - offsets[0] + 2 * len(lengths), np.int32)
        written = _encode(
            data, offsets, class_table(), self._made, self._ranks, self._byte_ids, self._characters, self._sizes,
            self._before, self._after, self._slots, self._arena, self._ids, self._bridges, self._ends, self._cuts,
            self._hashes, new_memo(), self._state, tokens, lengths,
        )  # fmt: skip
        tokens.resize(written, refcheck=False)
        return tokens, lengths

    def encode(self, text: str) -> I32:
        """The ids of one text, int32, without BOS and EOS."""
        before, after, self._before, self._after = self._before, self._after, -1, -1
        try:
            return self.encode_column(pa.array([text], pa.large_string()))[0]
        finally:
            self._before, self._after = before, after


@njit(nogil=True, cache=True)
def _encode(
    data: U8,
    offsets: I64,
    classes: U8,
    made: I32,
    ranks: I32,
    byte_ids: I32,
    characters: I32,
    sizes: I32,
    before: int,
    after: int,
    slots: I64,
    arena: U8,
    ids: I32,
    bridges: U8,
    ends: I64,
    cuts: I64,
    hashes: U64,
    memo: I64,
    state: I64,
    output: I32,
    lengths: I32,
) -> int:
    """Encode all documents into `output`, where there is room for an id a byte and two a document; return how many ids
    there are."""
    written = 0
    used, arena_used, ids_used = state[_USED], state[_ARENA_USED], state[_IDS_USED]
    mask = np.uint64(slots.size // FIELDS - 1)
    merges = np.empty(SHORT, np.int64)
    for document in range(lengths.size):
        at, last, start = offsets[document], offsets[document + 1], written
        memo[0] = 0
        if before >= 0:
            output[written] = before
            written += 1
        while at < last:
            count, scanned = scan(data, at, last, classes, ends, memo)
            count = cut_clauses(data, at, ends[:count], bridges, cuts)
            if cuts[count - 1] < scanned:  # there are more parts than fit; the memo is of a run that comes later
                memo[0] = 0
            first = at
            for part in range(count):
                hashed = hash_short_key(data, first, cuts[part])
                hashes[part] = hashed
                prefetch(slots, np.int64(hashed & mask) * FIELDS)
                first = cuts[part]
            for part in range(count):
                end = cuts[part]
                if end - at > _CACHED:
                    written = join(data, at, end, byte_ids, characters, sizes, made, ranks, output, written, merges)
                    at = end
                    continue
                slot = find(slots, arena, hashes[part], data, at, end)
                if slots[slot + LENGTH]:
                    value = slots[slot + VALUE]
                    length = value & 0xFF
                    if length <= 2:
                        output[written] = value >> 8 & _ID
                        output[written + 1] = value >> 8 + _ID_BITS
                    else:
                        from_ = value >> 8
                        for index in range(length):
                            output[written + index] = ids[from_ + index]
                    written += length
                else:
                    joined = join(data, at, end, byte_ids, characters, sizes, made, ranks, output, written, merges)
                    if 2 * (used + 1) * FIELDS > slots.size:
                        slots[:] = 0
                        used, arena_used, ids_used = 0, 0, 0
                        slot = find(slots, arena, hashes[part], data, at, end)
                    length = joined - written
                    if length <= 2:
                        value = np.int64(output[written]) << 8
                        if length == 2:
                            value |= np.int64(output[written + 1]) << 8 + _ID_BITS
                    else:
                        value = ids_used << 8
                        for index in range(length):
                            ids[ids_used + index] = output[written + index]
                        ids_used += length
                    slots[slot + VALUE] = value | length
                    arena_used = add(slots, arena, slot, hashes[part], data, at, end, arena_used)
                    used += 1
                    written = joined
                at = end
        if after >= 0:
            output[written] = after
            written += 1
        lengths[document] = written - start
    state[_USED], state[_ARENA_USED], state[_IDS_USED] = used, arena_used, ids_used
    return written
