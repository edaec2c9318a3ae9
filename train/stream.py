"""The order in which a run reads its tokens: sample k is a pure function of (shards, weights, seed, k).

A sample is a window of `sequence_length + 1` tokens; the last token of a window is the first of the next in
its domain, so each token is once an input and once a target. To find sample k, `Interleave` names the domain
and the number j of the sample among that domain's; j tells the epoch and the place in it; a Feistel
permutation of the epoch (`permutation`) gives the window, and an offset drawn for each epoch says where on
the domain's circle of tokens the windows begin, so that a document is cut at other places each time. Nothing
is indexed or stored: a stream opens at once, at any size, and its whole state is the number of samples
consumed. Ranks, workers and micro-batches only divide the same global sequence, so any of them may change
between two steps.

    stream = TokenStream({"web": "tokens/domain=web", "code": "tokens/domain=code"},
                         weights={"web": 0.8, "code": 0.2}, sequence_length=4096, seed=1)
    stream.batch(first=0, count=16)           # int32 [16, 4097]
    for sample in stream: ...                 # int32 [4097]; stream.state_dict() at any time
    torch.utils.data.DataLoader(stream, batch_size=16, sampler=range(stream.samples, 1_000_000))
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash
from numba import njit

from corpus.errors import HeadwaterError, UsageError
from tokenizer.shards import open_shards
from train.interleave import Interleave, Phase
from train.permutation import mix, shuffled
from train.source import DomainTokens

BLOCK_TOKENS = 1 << 18  # 1 MiB of int32: a good ranged read from an object store
WINDOW_TOKENS = 1 << 26  # 256 MiB: what one domain's open window takes in a disk cache


@dataclass(frozen=True)
class Location:
    """Where a sample comes from: its domain, epoch (from 0), and first token on the domain's circle."""

    domain: str
    epoch: int
    token: int


class StreamMismatch(HeadwaterError):
    """A saved position belongs to another stream: its shards, weights, seed or sequence length differ."""


class TokenStream:
    """The samples of a run in order; iterable, indexable, resumable by `state_dict`. Needs no torch."""

    def __init__(
        self,
        domains: Mapping[str, str],
        *,
        sequence_length: int,
        seed: int = 0,
        weights: Mapping[str, float] | None = None,
        later: Sequence[tuple[int, Mapping[str, float]]] = (),
        tokenizer_hash: str | None = None,
        vocab_size: int | None = None,
        verify: bool = False,
    ) -> None:
        """Open the shards of `domains` (name to folder).

        `weights` are shares of tokens by domain (default: in proportion to the domains' tokens); `later`
        changes them at stated samples. Shards of another tokenizer than `tokenizer_hash`, or with more tokens
        in their vocabulary than a model's `vocab_size`, are refused; with `verify`, every byte is checked
        against its checksum first. Raises UsageError for weights of unknown domains or no domains at all.
        """
        if not domains or sequence_length < 1:
            raise UsageError(
                "a token stream needs at least one folder of token shards and a sequence length of 1 or more"
            )
        self._arguments = (dict(domains), sequence_length, seed, weights, list(later))
        self.sequence_length = sequence_length
        self.names = sorted(domains)
        opened = (open_shards(domains[name], tokenizer_hash, vocab_size, verify) for name in self.names)
        self.sources = [DomainTokens(name, shards) for name, shards in zip(self.names, opened)]
        natural = {source.name: float(source.num_tokens) for source in self.sources}
        steps = [(0, natural if weights is None else weights), *later]
        self._interleave = Interleave([Phase(weights=self._row(given), start=start) for start, given in steps])
        self._block = max(1, BLOCK_TOKENS // sequence_length)
        self._window = max(1, WINDOW_TOKENS // BLOCK_TOKENS)
        self._keys = [xxhash.xxh3_64_intdigest(f"{seed}/{name}".encode()) for name in self.names]
        self.samples = 0  # how many samples iteration has given
        self.fingerprint = xxhash.xxh3_128_hexdigest(
            json.dumps(
                [
                    sequence_length,
                    seed,
                    steps,
                    [(s.name, s.fingerprint) for s in self.sources],
                    self._block,
                    self._window,
                ],
                sort_keys=True,
            ).encode()
        )

    def _row(self, weights: Mapping[str, float]) -> tuple[float, ...]:
        if unknown := sorted(set(weights) - set(self.names)):
            raise UsageError(f"weights name the domains {unknown}, but there are tokens only of {self.names}")
        return tuple(weights.get(name, 0.0) for name in self.names)

    def samples_per_epoch(self, domain: int) -> int:
        """Windows that cover the domain's circle once; the last overlaps the first where the tokens do not divide."""
        return -(-self.sources[domain].num_tokens // self.sequence_length)

    def _find(self, samples: npt.NDArray[np.int64]) -> Iterator[tuple[int, npt.NDArray[np.int64], Any, Any]]:
        """For each domain among samples: its index, the rows it fills, and their epochs and first tokens."""
        if samples.size and samples.min() < 0:
            raise IndexError(f"sample {samples.min()}: the samples of a stream are counted from 0")
        domains, numbers = self._interleave.locate(samples)
        for domain in np.unique(domains):
            rows = np.flatnonzero(domains == domain)
            size = self.samples_per_epoch(domain)
            starts = _starts(
                numbers[rows],
                size,
                self.sequence_length,
                self.sources[domain].num_tokens,
                self._block,
                self._window,
                np.uint64(self._keys[domain]),
            )
            yield int(domain), rows, numbers[rows] // size, starts

    def gather(self, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The windows of any sample numbers (int64[n]), in that order: int32[n, sequence_length + 1]."""
        out = np.empty((samples.size, self.sequence_length + 1), np.int32)
        for domain, rows, _, starts in self._find(samples):
            self.sources[domain].copy(starts, rows, out)
        return out

    def batch(self, first: int, count: int) -> npt.NDArray[np.int32]:
        """Samples `first` to `first + count - 1`: int32[count, sequence_length + 1]."""
        return self.gather(np.arange(first, first + count, dtype=np.int64))

    def documents(self, first: int, count: int) -> npt.NDArray[np.int32]:
        """The number of each input token's document in its window, from 0: int32[count, sequence_length].

        Tokens that differ in it belong to different documents, which is what an attention mask by document
        needs.
        """
        out = np.empty((count, self.sequence_length), np.int32)
        for domain, rows, _, starts in self._find(np.arange(first, first + count, dtype=np.int64)):
            for row, start in zip(rows, starts):
                out[row] = self.sources[domain].documents(int(start), self.sequence_length)
        return out

    def locate(self, sample: int) -> Location:
        """Where sample k comes from."""
        domain, _, epochs, starts = next(self._find(np.array([sample], np.int64)))
        return Location(self.names[domain], int(epochs[0]), int(starts[0]))

    def counts(self, samples: int) -> dict[str, int]:
        """How many of the first `samples` samples each domain gives; times `sequence_length` it is tokens."""
        return dict(zip(self.names, self._interleave.counts(samples).tolist()))

    def __getitem__(self, sample: int) -> npt.NDArray[np.int32]:
        return self.batch(sample, 1)[0]

    def __getitems__(self, samples: Sequence[int]) -> list[npt.NDArray[np.int32]]:
        """A batch at once, as torch's DataLoader asks for it."""
        return list(self.gather(np.asarray(samples, np.int64)))

    def __iter__(self) -> Iterator[npt.NDArray[np.int32]]:
        """Samples without end from the present position, which `state_dict` reports."""
        while True:
            self.samples += 1
            yield self[self.samples - 1]

    def state_dict(self) -> dict[str, Any]:
        """The whole state: samples consumed, and the hash of what decides the order."""
        return {"samples": self.samples, "fingerprint": self.fingerprint}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, on any number of ranks; raise StreamMismatch for another stream's state."""
        if state["fingerprint"] != self.fingerprint:
            raise StreamMismatch(
                f"the saved position ({state['samples']} samples) belongs to a stream with other shards, weights, seed "
                "or sequence length; give the same ones, or start the run anew"
            )
        self.samples = int(state["samples"])

    def __reduce__(self) -> tuple[Any, ...]:
        """Workers of a DataLoader open the shards again rather than receive their bytes."""
        return _reopen, (*self._arguments, self.samples)


def _reopen(domains: Any, length: int, seed: int, weights: Any, later: Any, samples: int) -> TokenStream:
    stream = TokenStream(domains, sequence_length=length, seed=seed, weights=weights, later=later)
    stream.samples = samples
    return stream


@njit(nogil=True, cache=True)
def _starts(
    numbers: npt.NDArray[np.int64], size: int, length: int, tokens: int, block: int, window: int, key: np.uint64
) -> npt.NDArray[np.int64]:
    """The first token of each of a domain's samples, which are numbered on through the epochs of `size` samples."""
    starts = np.empty(numbers.size, np.int64)
    for i in range(numbers.size):
        epoch_key = mix(np.uint64(key) + np.uint64(numbers[i] // size))
        offset = np.int64(mix(epoch_key) % np.uint64(tokens))
        sample = shuffled(numbers[i] % size, size, block, window, epoch_key)
        starts[i] = (offset + sample * length) % tokens
    return starts


def micro_batches(
    first: int, global_batch: int, micro_batch: int, *, rank: int = 0, ranks: int = 1
) -> Iterator[tuple[int, int]]:
    """The (first sample, count) of each micro-batch of a rank in the global batch that starts at `first`.

    The ranks' parts, one after the other, are the global batch. Raises UsageError where the numbers do not
    divide.
    """
    share = global_batch // ranks
    if share * ranks != global_batch or share % micro_batch:
        raise UsageError(
            f"a global batch of {global_batch} samples cannot be cut into {ranks} rank(s) x micro-batches of "
            f"{micro_batch}; choose a micro-batch that divides {global_batch / ranks:g}"
        )
    for offset in range(0, share, micro_batch):
        yield first + rank * share + offset, micro_batch
