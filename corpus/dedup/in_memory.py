"""Deduplication of one set of documents in memory: what `headwater dedup` does, and the measure of the larger run.

The staged pipeline (`pipelines/stages/dedup/`) reaches the same answer through storage, component by component.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.dedup.exact import hash_columns, text_hashes, url_hashes
from corpus.dedup.keepers import LEVELS, NO_DATE, Criterion, Election, Members, cluster_sizes, elect, policy_order
from corpus.dedup.minhash import Scheme, Signatures, sign
from corpus.dedup.scurve import choose_bands
from corpus.errors import UsageError, nearest
from corpus.io.document_table import as_documents

RECALL = 0.9995  # of pairs at the threshold: what bands and rows are chosen for
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("keep", pa.bool_(), nullable=False),
        pa.field("level", pa.string()),  # exact or near, of a removed document
        pa.field("duplicate_of", pa.string()),  # id of the kept document it is a duplicate of
        pa.field("similarity", pa.float32()),  # Jaccard similarity to it
        pa.field("cluster", pa.string(), nullable=False),  # id of the kept document of its cluster
        pa.field("cluster_size", pa.int32(), nullable=False),
    ]
)


def deduplicate(
    documents: Any,
    threshold: float = 0.8,
    *,
    keep: Sequence[str] = ("length", "id"),
    scheme: Scheme | None = None,
    workers: int = 1,
) -> pa.Table:
    """Which documents are duplicates: a table of `SCHEMA`, one row per document, in input order.

    `documents` is a table with `text` (string) and optional `id`, see `corpus.io.document_table`, or a list or
    iterator of such tables, which are read once; ids are then to be given. Two documents are near-duplicates when the
    Jaccard similarity of their shingles is `threshold` (above 0, to 1) or more. The one that is kept is the first by
    `keep`: `length` (longest), `id` (smallest as a string), `order` (first in the input), or a column of float64
    (smallest first, NaN last). `scheme` is how documents are signed; None chooses bands that find pairs at the
    threshold with a probability of 0.9995. `workers` threads sign tables side by side. Raises UsageError for a
    threshold or a table that makes no sense.

    >>> pages = {"text": ["the same page twice", "另一页", "the same page twice"]}
    >>> deduplicate(pages).select(["id", "keep", "duplicate_of"]).to_pylist()[2]
    {'id': '2', 'keep': False, 'duplicate_of': '0'}
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"threshold {threshold}: it is a similarity above 0, up to 1")
    scheme = scheme or Scheme(5, *choose_bands(threshold, RECALL))
    tables = map(as_documents, documents if isinstance(documents, Iterator | list | tuple) else [documents])
    others = [name for name in keep if name not in get_args(Criterion)]
    signed = list(_signed(tables, scheme, others, workers))
    ids, election, _ = deduplicate_signed(signed, scheme, threshold, tuple(keep))
    return _result(ids, election)


def _signed(tables: Iterable[pa.Table], scheme: Scheme, others: list[str], workers: int) -> Iterator["Signed"]:
    """Sign tables on threads (the kernels release the interpreter lock), in order, a bounded number at a time."""
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[Signed]] = deque()
        for table in tables:
            pending.append(pool.submit(sign_table, table, scheme, others))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _result(ids: pa.ChunkedArray, election: Election) -> pa.Table:
    keep = pa.array(election.level == 0)
    keeper = ids.take(pa.array(election.keeper))
    size, _ = cluster_sizes(election.keeper, np.zeros(len(ids), np.int32))
    levels = pa.array([name or None for name in LEVELS], pa.string()).take(pa.array(election.level))
    columns = [
        ids,
        keep,
        levels,
        pc.if_else(keep, None, keeper),
        pc.if_else(keep, None, pa.array(election.similarity)),
        keeper,
        pa.array(size),
    ]
    return pa.table(columns, SCHEMA)


class Signed(NamedTuple):
    """The signatures of a table of documents with what keepers are chosen by."""

    ids: pa.ChunkedArray
    signatures: Signatures
    text_hash: npt.NDArray[np.uint64]
    url_hash: npt.NDArray[np.uint64]
    date: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    others: Mapping[str, npt.NDArray[np.float64]]  # as `policy_order` takes them


def sign_table(table: pa.Table, scheme: Scheme, others: Sequence[str] = ()) -> Signed:
    """Sign a table with columns `id` and `text`, and `url` and `date` (timestamp) where it has them; `others` are
    columns of float64 that the policy names."""
    rows = len(table)
    names = table.column_names
    if missing := [name for name in others if name not in names]:
        raise UsageError(f"what is kept is chosen by the column `{missing[0]}`; {nearest(missing[0], names, 'it has')}")
    signatures = sign(table["text"], scheme)
    return Signed(
        table["id"].cast(pa.string()),
        signatures._replace(values=signatures.values.copy()),
        hash_columns(text_hashes(table["text"])),
        url_hashes(table["url"]) if "url" in names else np.zeros(rows, np.uint64),
        seconds(table["date"]) if "date" in names else np.full(rows, NO_DATE),
        pc.fill_null(pc.binary_length(table["text"]), 0).to_numpy().astype(np.int64),
        {name: table[name].to_numpy() for name in others},
    )


def seconds(dates: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Timestamps as seconds since 1970; NO_DATE for nulls."""
    if not pa.types.is_timestamp(dates.type):
        return np.full(len(dates), NO_DATE)
    whole = pc.fill_null(dates.cast(pa.timestamp("s", dates.type.tz), safe=False).cast(pa.int64()), NO_DATE)
    return whole.to_numpy().astype(np.int64)


def joined(parts: Iterable[Signatures], bands: int) -> Signatures:
    """The signatures of several tables as those of one."""
    parts = list(parts)
    counts = [np.zeros(1, np.int64), *(np.diff(part.offsets) for part in parts)]
    return Signatures(
        np.concatenate([np.zeros((0, bands), np.uint64), *(part.bands for part in parts)]),
        np.concatenate([np.zeros(0, np.uint32), *(part.values for part in parts)]),
        np.cumsum(np.concatenate(counts)),
        np.concatenate([np.zeros(0, np.int32), *(part.shingles for part in parts)]),
    )


def id_ranks(ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The rank of each id among all, as strings in byte order; equal ids have equal ranks."""
    return pc.rank(ids, sort_keys="ascending", tiebreaker="dense").to_numpy().astype(np.int64)


def deduplicate_signed(
    signed: Iterable[Signed],
    scheme: Scheme,
    threshold: float,
    policy: tuple[str, ...],
    newest: bool = True,
    by_url: bool = False,
) -> tuple[pa.ChunkedArray, Election, npt.NDArray[np.int32]]:
    """`(ids, election, table)` of all documents in input order; `table` says which input each came from.

    `table` is also the dump that the policy sees. The policy's `quality` has nothing to look at here.
    """
    parts = list(signed)
    ids = pa.chunked_array([chunk for part in parts for chunk in part.ids.chunks], pa.string())
    rows = len(ids)
    table = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.ids) for part in parts])
    members = Members(
        np.arange(rows, dtype=np.uint64),
        joined((part.signatures for part in parts), scheme.bands),
        np.concatenate([np.zeros((0, 2), np.uint64), *(part.text_hash for part in parts)]),
        np.concatenate([np.zeros(0, np.uint64), *(part.url_hash for part in parts)]),
        np.zeros(rows, np.int32),
        np.concatenate([np.zeros(0, np.int64), *(part.date for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.length for part in parts)]),
        table,
        id_ranks(ids),
    )
    others = {
        name: np.concatenate([np.zeros(0), *(part.others[name] for part in parts)])
        for name in policy
        if name not in get_args(Criterion)
    }
    return ids, elect(members, policy_order(members, policy, newest, others), threshold, by_url), table
