"""The order in which a run reads its tokens: sample k is a pure function of (shards, weights, seed, k).

A sample is a span of `sequence_length + 1` tokens. Its last token is the first of the next span in its domain, so each
token is once an input and once a target. To find sample k, `Interleave` names the domain and the number j of the sample
among that domain's. From j follow the epoch and the position in it, and a Feistel permutation of the epoch
(`permutation`) gives the span. An offset drawn for each epoch says where on the domain's circle of tokens the spans
begin, so that documents are cut elsewhere in each epoch. Nothing is indexed or stored: a stream of any size opens at
once, and its whole state is the number of samples consumed. Ranks, workers and micro-batches only divide the same
global sequence, so any of them may change between two steps.

    stream = TokenStream({"web": "tokens/domain=web", "code": "s3://bucket/tokens/domain=code"},
                         weights={"web": 0.8, "code": 0.2}, sequence_length=4096, seed=1)
    stream.batch(first=0, count=16)           # int32 [16, 4097]
    for sample in stream: ...                 # int32 [4097]; stream.state_dict() at any time

`train.data.dataset` makes batches of it for a torch DataLoader with workers. With `packing="best_fit"`, samples
are made of whole documents as far as these fit (`packing`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import xxhash
from numba import njit

from corpus.errors import HeadwaterError, UsageError
from corpus.kernels.hashing import splitmix64
from corpus.kernels.types import I32, I64
from tokenizer.shards import open_shards
from train.data.block_cache import CACHE_BYTES, host_cache
from train.data.domain_tokens import DomainTokens
from train.data.interleave import Interleave, Phase
from train.data.local_shards import WHOLE
from train.data.packing import CHUNK_TOKENS, PackedDomain
from train.data.permutation import shuffled
from train.data.prefetch import Fetch, Prefetcher
from train.data.remote_shards import RemoteShards

BLOCK_TOKENS = 1 << 18  # 1 MiB of int32: a good ranged read from an object store
BUFFER_TOKENS = 1 << 28  # 1 GiB: the shuffle buffer of one domain, in a disk cache

PACKINGS = ("concatenate", "best_fit")

Array = I64
Weights = Mapping[str, float]


@dataclass(frozen=True)
class Location:
    """Where a sample comes from: its domain, epoch (from 0), and first token on the domain's circle."""

    domain: str
    epoch: int
    token: int


class StreamMismatch(HeadwaterError):
    """A saved position belongs to another stream: its shards, weights so far, seed or sequence length differ."""


class TokenStream:
    """The samples of a run in order; iterable, indexable, resumable by `state_dict`. Needs no torch."""

    def __init__(
        self,
        domains: Mapping[str, str],
        *,
        sequence_length: int,
        seed: int = 0,
        weights: Weights | None = None,
        changes: Sequence[tuple[int, Weights]] = (),
        packing: Literal["concatenate", "best_fit"] = "concatenate",
        tokenizer_hash: str | None = None,
        vocab_size: int | None = None,
        verify: bool = False,
        cache_folder: str | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Open the shards of `domains` (name to folder).

        `weights` are shares of tokens by domain (default: in proportion to the domains' tokens). `changes` are other
        weights from a number of tokens on, counted over all domains from the beginning of the run. They hold from the
        first sample that begins there or later. Shards of another tokenizer than `tokenizer_hash`, or with more tokens
        in their vocabulary than a model's `vocab_size`, are refused. With `verify`, every byte of local shards is
        checked against its checksum first. Blocks of shards on `s3://` are kept in `cache_folder` (default:
        $XDG_CACHE_HOME/headwater/tokens), `cache_bytes` of them at most. Raises UsageError for weights of unknown
        domains, no domains at all or an unknown packing.
        """
        if not domains or sequence_length < 1:
            raise UsageError(
                "a token stream needs at least one folder of token shards and a sequence length of 1 or more"
            )
        if packing not in PACKINGS:
            raise UsageError(f"packing {packing!r}: should be one of {', '.join(PACKINGS)}")
        self._arguments = {
            "domains": dict(domains),
            "sequence_length": sequence_length,
            "seed": seed,
            "weights": weights,
            "changes": list(changes),
            "packing": packing,
            "cache_folder": cache_folder,
            "cache_bytes": cache_bytes,
        }
        self.sequence_length = sequence_length
        self.names = sorted(domains)
        cache = host_cache(domains.values(), cache_folder, cache_bytes)
        opened = (open_shards(domains[name], tokenizer_hash, vocab_size, verify) for name in self.names)
        self.sources = [DomainTokens(name, shards, cache) for name, shards in zip(self.names, opened)]
        self._packed: list[PackedDomain] | None = None
        block_tokens = BLOCK_TOKENS
        if packing == "best_fit":
            self._packed = [PackedDomain(source, sequence_length + 1) for source in self.sources]
            block_tokens = CHUNK_TOKENS
        self._block = max(1, block_tokens // sequence_length) if self._packed is None else self._packed[0].chunk
        self._buffer = max(1, BUFFER_TOKENS // block_tokens)
        natural = {source.name: float(source.num_tokens) for source in self.sources}
        given = natural if weights is None else weights
        steps = [(0, given), *((-(-token // sequence_length), other) for token, other in changes)]
        self._interleave = Interleave([Phase(weights=self._row(given), start=start) for start, given in steps])
        self._keys = [xxhash.xxh3_64_intdigest(f"{seed}/{name}".encode()) for name in self.names]
        self._constants = [sequence_length, seed, packing, self._block, self._buffer]
        self._contents = {source.name: source.shards.fingerprint for source in self.sources}
        ahead = min(BUFFER_TOKENS, sum(source.num_tokens for source in self.sources)) // sequence_length
        self._prefetcher = Prefetcher(self._blocks, max(1, ahead)) if cache else None
        self.is_remote = cache is not None
        self.samples = 0  # how many samples iteration has given

    def _row(self, weights: Weights) -> tuple[float, ...]:
        if unknown := sorted(set(weights) - set(self.names)):
            raise UsageError(f"weights name the domains {unknown}, but there are tokens only of {self.names}")
        return tuple(weights.get(name, 0.0) for name in self.names)

    @property
    def fingerprint(self) -> str:
        """The hash of what decides the order, all changes of weights included."""
        return self._fingerprint(len(self._interleave.phases))

    def fingerprint_at(self, samples: int) -> str:
        """The hash of what decides the order of the first `samples` samples: changes that come later are left out."""
        return self._fingerprint(sum(phase.start == 0 or phase.start < samples for phase in self._interleave.phases))

    def _fingerprint(self, phases: int) -> str:
        """Of the domains that give samples in the first phases, their shares and contents: no others change the
        order."""
        plan = self._interleave
        starts = [phase.start for phase in plan.phases[:phases]]
        shares = [{name: n for name, n in zip(self.names, row.tolist()) if n} for row in plan.shares[:phases]]
        contents = {name: self._contents[name] for given in shares for name in given}
        parts = [self._constants, starts, shares, contents]
        return xxhash.xxh3_128_hexdigest(json.dumps(parts, sort_keys=True).encode())

    def samples_per_epoch(self, domain: int) -> int:
        """Samples that cover the domain's circle once; the last may overlap the first."""
        if self._packed is not None:
            return self._packed[domain].num_samples
        return -(-self.sources[domain].num_tokens // self.sequence_length)

    def _find(self, samples: Array) -> Iterator[tuple[int, Array, Array, Array, Array]]:
        """For each domain among samples: its index, and of each of its samples the row, epoch, offset and position."""
        if samples.size and samples.min() < 0:
            raise IndexError(f"sample {samples.min()}: the samples of a stream are counted from 0")
        domains, numbers = self._interleave.locate(samples)
        for domain in np.unique(domains).tolist():
            rows = np.flatnonzero(domains == domain)
            size = self.samples_per_epoch(domain)
            key = np.uint64(self._keys[domain])
            offsets, positions = _positions(
                numbers[rows], size, self.sources[domain].num_tokens, self._block, self._buffer, key
            )
            yield domain, rows, numbers[rows] // size, offsets, positions

    def _spans(self, samples: Array) -> Iterator[tuple[int, Array, Array, Array]]:
        """For each domain: its index, and the spans of its circle that fill samples: first tokens, lengths, targets."""
        width = self.sequence_length + 1
        for domain, rows, _, offsets, positions in self._find(samples):
            if self._packed is None:
                starts = (offsets + positions * self.sequence_length) % self.sources[domain].num_tokens
                yield domain, starts, np.full(rows.size, width), rows * width
                continue
            found = [self._packed[domain].spans(*one) for one in zip(offsets.tolist(), positions.tolist())]
            lengths = np.concatenate([one[1] for one in found])
            targets = [row * width + np.cumsum(one[1]) - one[1] for row, one in zip(rows.tolist(), found)]
            yield domain, np.concatenate([one[0] for one in found]), lengths, np.concatenate(targets)

    def gather(self, samples: Array) -> I32:
        """The samples of any numbers (int64[n]), in that order: int32[n, sequence_length + 1]."""
        if self._prefetcher is not None and samples.size:
            self._prefetcher.seek(int(samples.min()))
        out = np.empty((samples.size, self.sequence_length + 1), np.int32)
        for domain, starts, lengths, targets in self._spans(samples):
            self.sources[domain].copy(starts, lengths, targets, out)
        return out

    def _blocks(self, first: int, count: int) -> Iterable[tuple[object, Fetch]]:
        """The blocks of samples in an object store, for the prefetcher: each domain's in the order of need."""
        for domain, starts, lengths, targets in self._spans(np.arange(first, first + count, dtype=np.int64)):
            reader = self.sources[domain].reader
            if isinstance(reader, RemoteShards):
                shards, tokens, _, targets = self.sources[domain].parts(starts, lengths, targets)
                blocks = tokens // reader.part_tokens
                for shard, block in dict.fromkeys(zip(shards.tolist(), blocks.tolist())):
                    yield (domain, shard, block), partial(reader.fetch, shard, block)

    def batch(self, first: int, count: int) -> I32:
        """Samples `first` to `first + count - 1`: int32[count, sequence_length + 1]."""
        return self.gather(np.arange(first, first + count, dtype=np.int64))

    def documents(self, first: int, count: int) -> I32:
        """The number of each input token's document in its sample, from 0: int32[count, sequence_length].

        Tokens that differ in it belong to different documents, which is what an attention mask by document
        needs; `train.data.boundaries` makes positions and cumulative lengths of it.
        """
        begins = np.zeros((count, self.sequence_length + 1), np.int32)
        flat = begins.reshape(-1)
        for domain, starts, lengths, targets in self._spans(np.arange(first, first + count, dtype=np.int64)):
            flat[targets] = 1
            if self._packed is None:
                for start, length, target in zip(starts.tolist(), lengths.tolist(), targets.tolist()):
                    flat[target + self.sources[domain].document_starts(start, length)] = 1
        return np.cumsum(begins[:, :-1], axis=1, dtype=np.int32) - 1

    def locate(self, sample: int) -> Location:
        """Where sample k comes from."""
        samples = np.array([sample], np.int64)
        domain, _, epochs, _, _ = next(self._find(samples))
        _, starts, _, _ = next(self._spans(samples))
        return Location(self.names[domain], int(epochs[0]), int(starts[0]))

    def provenance(self, sample: int) -> list[tuple[str, int, int]]:
        """Where the tokens of sample k are, in order: path of the `.bin`, first token in it, number of tokens."""
        domain, starts, lengths, targets = next(self._spans(np.array([sample], np.int64)))
        source = self.sources[domain]
        parts = source.parts(starts, lengths, targets, WHOLE).T.tolist()
        return [(source.shards.shards[shard].path, token, count) for shard, token, count, _ in parts]

    def counts(self, samples: int) -> dict[str, int]:
        """How many of the first `samples` samples each domain gives; times `sequence_length` it is tokens."""
        return dict(zip(self.names, self._interleave.counts(samples).tolist()))

    def epochs(self, samples: int) -> dict[str, float]:
        """How many times the first `samples` samples go through each domain."""
        counts = self._interleave.counts(samples).tolist()
        return {name: count / self.samples_per_epoch(i) for i, (name, count) in enumerate(zip(self.names, counts))}

    def __getitem__(self, sample: int) -> I32:
        return self.batch(sample, 1)[0]

    def __getitems__(self, samples: Sequence[int]) -> list[I32]:
        """A batch at once, as torch's DataLoader asks for it."""
        return list(self.gather(np.asarray(samples, np.int64)))

    def __iter__(self) -> Iterator[I32]:
        """Samples without end from the present position, which `state_dict` reports."""
        while True:
            self.samples += 1
            yield self[self.samples - 1]

    def state_dict(self) -> dict[str, Any]:
        """The whole state: samples consumed, and the hash of what decided their order."""
        return {"samples": self.samples, "fingerprint": self.fingerprint_at(self.samples)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, on any number of ranks, also with other weights from a later token on.

        Raises StreamMismatch for another stream's state.
        """
        samples = int(state["samples"])
        if samples < 0 or state.get("fingerprint") != self.fingerprint_at(samples):
            raise StreamMismatch(
                f"the saved position ({samples:,} samples) belongs to a stream with other shards, weights, seed, "
                "packing or sequence length up to there; give the same ones, or start the run anew"
            )
        self.samples = samples

    def close(self) -> None:
        """Stop fetching ahead; what is read afterwards starts it again. Nothing else has to be closed."""
        if self._prefetcher is not None:
            self._prefetcher.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Workers of a DataLoader open the shards again rather than receive their bytes."""
        return _reopen, (self._arguments, self.samples)


def _reopen(arguments: dict[str, Any], samples: int) -> TokenStream:
    stream = TokenStream(**arguments)
    stream.samples = samples
    return stream


@njit(nogil=True, cache=True)
def _positions(numbers: Array, size: int, tokens: int, block: int, buffer: int, key: np.uint64) -> tuple[Array, Array]:
    """Of a domain's samples, numbered through all epochs of `size` samples: the epoch's offset and the position in it.

    The offset is the token at which the epoch begins on the domain's circle of `tokens`.
    """
    offsets = np.empty(numbers.size, np.int64)
    positions = np.empty(numbers.size, np.int64)
    for i in range(numbers.size):
        epoch_key = splitmix64(np.uint64(key) + np.uint64(numbers[i] // size))
        offsets[i] = np.int64(splitmix64(epoch_key) % np.uint64(tokens))
        positions[i] = shuffled(numbers[i] % size, size, block, buffer, epoch_key)
    return offsets, positions


def micro_batches(
    first: int, global_batch: int, micro_batch: int, *, rank: int = 0, ranks: int = 1
) -> Iterator[tuple[int, int]]:
    """The (first sample, count) of each micro-batch of a rank in the global batch that starts at `first`.

    The ranks' parts, one after the other, are the global batch. Raises UsageError where the numbers do not
    divide, or there is no such rank.
    """
    if min(global_batch, micro_batch, ranks) < 1 or not 0 <= rank < ranks:
        raise UsageError(
            f"rank {rank} of {ranks} with a global batch of {global_batch} and micro-batches of {micro_batch} samples: "
            "each should be 1 or more, and the rank below the ranks"
        )
    share = global_batch // ranks
    if share * ranks != global_batch or share % micro_batch:
        raise UsageError(
            f"a global batch of {global_batch} samples cannot be cut into {ranks} rank(s) x micro-batches of "
            f"{micro_batch}; choose a micro-batch that divides {global_batch / ranks:g}"
        )
    for offset in range(0, share, micro_batch):
        yield first + rank * share + offset, micro_batch
