"""Deduplication of one set of documents in memory: what `headwater dedup` does, and the measure of the larger run.

The staged pipeline (`pipelines/stages/dedup/`) reaches the same answer through storage, component by component.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpus.dedup.exact import hash_columns, text_hashes, url_hashes
from corpus.dedup.keepers import NO_DATE, Criterion, Election, Members, elect, policy_order
from corpus.dedup.minhash import Scheme, Signatures, sign


class Signed(NamedTuple):
    """The signatures of a table of documents with what keepers are chosen by."""

    ids: pa.ChunkedArray
    signatures: Signatures
    text_hash: npt.NDArray[np.uint64]
    url_hash: npt.NDArray[np.uint64]
    date: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    others: Mapping[str, npt.NDArray[np.float64]]  # as `policy_order` takes them


def sign_table(table: pa.Table, scheme: Scheme, others: Iterable[str] = ()) -> Signed:
    """Sign a table with columns `id` and `text`, and `url` and `date` (timestamp) where it has them; `others` are
    columns of float64 that the policy names."""
    rows = len(table)
    names = table.column_names
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


def deduplicate(
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
