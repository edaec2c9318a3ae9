"""The token stream for a plain PyTorch loop: batches through `torch.utils.data.DataLoader`, with workers and exact
resume.

An `IterableDataset` is copied into every worker, and a DataLoader takes the workers' batches in turn. So the unit
here is the batch, not the sample: worker w of n makes batches w, w + n, ... of the rank, and the DataLoader's turns
put them back into the order of the stream. Any number of workers gives the same batches. How far a run has come is
known only where batches are consumed, because workers run ahead; `TokenLoader` counts there, and its state is the
stream's: one integer.

    stream = TokenStream({"web": "tokens/domain=web"}, sequence_length=4096, seed=1)
    loader = TokenLoader(stream, batch_size=512, rank=0, ranks=8, num_workers=2)
    for batch in loader:                   # batch["tokens"]: int32 [64, 4097]
        ...; state = loader.state_dict()   # {"samples": ..., "fingerprint": ...}: good for any ranks and workers
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from train.data.stream import TokenStream, micro_batches


class TokenBatches(IterableDataset[dict[str, torch.Tensor]]):
    """A rank's part of each global batch, without end, from the stream's position on. Give it to a DataLoader with
    `batch_size=None`: batches are made here."""

    def __init__(
        self, stream: TokenStream, *, batch_size: int, rank: int = 0, ranks: int = 1, documents: bool = False
    ) -> None:
        """`batch_size` is the samples of a global batch, of which a rank reads its equal share; with `documents`, the
        document of each input token comes along. Raises UsageError where ranks do not divide the batch."""
        self.stream = stream
        self.batch_size = batch_size
        self.documents = documents
        share = max(1, batch_size // max(1, ranks))
        self._first, self._count = next(micro_batches(0, batch_size, share, rank=rank, ranks=ranks))

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """`tokens` int32 [share, sequence_length + 1]; with documents, `documents` int32 [share, sequence_length]."""
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        sample = self.stream.samples + number * self.batch_size + self._first
        while True:
            batch = {"tokens": torch.from_numpy(self.stream.batch(sample, self._count))}
            if self.documents:
                batch["documents"] = torch.from_numpy(self.stream.documents(sample, self._count))
            yield batch
            sample += workers * self.batch_size


class TokenLoader:
    """A DataLoader over `TokenBatches` that knows how many batches were consumed."""

    def __init__(
        self,
        stream: TokenStream,
        *,
        batch_size: int,
        rank: int = 0,
        ranks: int = 1,
        documents: bool = False,
        **options: Any,
    ) -> None:
        """`options` are those of torch's DataLoader: `num_workers`, `pin_memory`, `prefetch_factor`, ...; workers over
        shards on s3:// are started by `multiprocessing_context="spawn"`, as its client does not survive a fork."""
        self.stream = stream
        self._batches = TokenBatches(stream, batch_size=batch_size, rank=rank, ranks=ranks, documents=documents)
        self._options = options
        if stream.is_remote and options.get("num_workers"):
            self._options = {"multiprocessing_context": "spawn"} | options

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Batches without end from the present position; a batch is consumed when it is handed out."""
        for batch in DataLoader(self._batches, batch_size=None, **self._options):
            self.stream.samples += self._batches.batch_size
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position behind the last batch that was handed out."""
        return self.stream.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there, with any number of ranks, workers and any batch size; for iterations that begin afterwards."""
        self.stream.load_state_dict(state)
