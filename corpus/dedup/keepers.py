"""Keepers: which document stands for its near-duplicates, and which are removed in its favour.

Documents are taken in the order of a policy, best first. One that matches no keeper becomes a keeper; one that does is
removed, with the most similar keeper named. So nothing is removed because of a chain (A like B, B like C): every
removed document has been compared with its keeper and found to be at least as similar as the threshold. And no two
keepers that were candidates are as similar as the threshold, which is the greedy cover of the whole graph, though it is
computed component by component: documents of different components share no bucket.

A document is compared with the keepers that share a bucket with it, found through an index from buckets to keepers, so
a component may be huge. Where a bucket already holds more than `most_compared` keepers, templates that are alike but
not alike enough, only the best that many are compared: work stays linear, at the price of perhaps keeping a
duplicate there.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.dedup.buckets import number_buckets
from corpus.dedup.minhash import Signatures
from corpus.dedup.verify import may_reach, similarity
from corpus.kernels.types import F32, F64, I8, I32, I64, U64

Criterion = Literal["passes", "quality", "date", "length", "dump", "id", "order"]
LEVELS = ("", "exact", "url", "near", "takedown")  # of a removal; the index is what `Election.level` holds
EXACT, URL, NEAR, TAKEDOWN = 1, 2, 3, 4
UNDECIDED = -1  # neither removed nor a keeper: there are as many keepers as are allowed
MOST_COMPARED = 256
NO_DATE = np.iinfo(np.int64).min


class Members(NamedTuple):
    """The documents of one or more whole components; all arrays have one row per document."""

    numbers: U64  # in the corpus
    signatures: Signatures
    text_hash: U64  # [n, 2] of the text's bytes
    url_hash: U64  # of the canonical URL; 0: none
    failed_rules: I32  # 0: passes the filters
    date: I64  # seconds; NO_DATE where unknown
    length: I64  # bytes of text
    dump: I32  # index in the recipe's order
    id_rank: I64  # order of the ids among these documents


class Election(NamedTuple):
    """What becomes of each document."""

    keeper: I64  # index of the keeper; a keeper's own index
    similarity: F32  # to the keeper; 1 for a keeper
    level: I8  # index into LEVELS; 0 for a keeper


def policy_order(
    members: Members, policy: tuple[str, ...], newest: bool, others: Mapping[str, F64] | None = None
) -> I64:
    """Indices of the documents, best first. Remaining ties are broken by id, then by number.

    A policy is made of criteria, and of the names of `others`: values of the documents, least first, NaN last.

    passes: no failed filter rule; quality: fewest failed filter rules; date: newest or oldest, unknown last; length:
    longest; dump: first in the recipe's order; id: smallest as a string; order: first as stored.
    """
    known = members.date != NO_DATE
    columns: dict[str, npt.NDArray[Any]] = {
        "passes": members.failed_rules > 0,
        "quality": members.failed_rules,
        "date": np.where(known, -members.date if newest else members.date, np.iinfo(np.int64).max),
        "length": -members.length,
        "dump": members.dump,
        "id": members.id_rank,
        "order": members.numbers,
        **(others or {}),
    }
    keys = [columns[name] for name in policy]
    return np.lexsort([members.numbers, members.id_rank, *reversed(keys)])


def elect(
    members: Members,
    order: I64,
    threshold: float,
    by_url: bool = False,
    most_compared: int = MOST_COMPARED,
    most_keepers: int = 0,
) -> Election:
    """Choose keepers greedily in `order`; `by_url` also removes documents whose canonical URL a keeper has.

    The work is one sketch comparison per pair of a document and a keeper in one of its buckets. An exact duplicate of a
    keeper, and with `by_url` a page of a kept URL, is compared with that keeper and no other. With as many keepers as
    `most_keepers` (0: any number), documents that match none are left UNDECIDED. Takes 12 bytes per document and band.
    """
    count = len(members.numbers)
    text = members.text_hash[:, 0] ^ members.text_hash[:, 1] | np.uint64(1)
    keys = [text, *([members.url_hash] if by_url else []), *members.signatures.bands.T]
    buckets = np.empty((count, len(keys)), np.int32)
    total = 0
    for column, values in enumerate(keys):
        total = number_buckets(np.ascontiguousarray(values), buckets[:, column], total)
    election = Election(np.arange(count), np.ones(count, np.float32), np.zeros(count, np.int8))
    _elect(members, order, buckets, total, threshold, by_url, most_compared, most_keepers or count, election)
    return election


@njit(nogil=True, cache=True)
def _elect(
    members: Members,
    order: I64,
    buckets: I32,
    total: int,
    threshold: float,
    by_url: bool,
    most_compared: int,
    most_keepers: int,
    election: Election,
) -> None:
    """Fill `election`. Keepers of a bucket form a linked list in the order of their election."""
    signatures = members.signatures
    width = buckets.shape[1]
    first = np.full(total, -1, np.int64)  # of each bucket: its first and last entry, and how many
    last = np.full(total, -1, np.int64)
    after = np.full(buckets.size, -1, np.int64)  # entry = document * width + column
    seen = np.full(len(order), -1, np.int64)  # the document a keeper was last compared with
    rank = np.empty(len(order), np.int64)  # in the order: of equally similar keepers the first is named
    for i in range(len(order)):
        rank[order[i]] = i
    keepers = 0
    for member in order:
        best, best_level, best_similarity = -1, NEAR + 1, 0.0
        for column in range(width):
            bucket = buckets[member, column]
            entry = first[bucket] if bucket >= 0 else -1
            compared = 0
            while entry >= 0 and compared < most_compared:
                keeper = entry // width
                entry = after[entry]
                compared += 1
                if seen[keeper] == member:
                    continue
                seen[keeper] = member
                level, value = _match(members, signatures, member, keeper, threshold, by_url)
                if level == 0 or level > best_level or (level == best_level and value < best_similarity):
                    continue
                if level < best_level or value > best_similarity or rank[keeper] < rank[best]:
                    best, best_level, best_similarity = keeper, level, value
            if best_level < NEAR:  # the buckets of texts and URLs come first, and hold one keeper each
                break
        if best >= 0:
            election.keeper[member] = best
            election.level[member] = best_level
            election.similarity[member] = best_similarity
            continue
        if keepers == most_keepers:
            election.level[member] = UNDECIDED
            continue
        keepers += 1
        for column in range(width):
            bucket = buckets[member, column]
            if bucket >= 0:
                entry = member * width + column
                if first[bucket] < 0:
                    first[bucket] = entry
                else:
                    after[last[bucket]] = entry
                last[bucket] = entry


@njit(inline="always")
def _match(
    members: Members, signatures: Signatures, member: int, keeper: int, threshold: float, by_url: bool
) -> tuple[int, float]:
    """(level, similarity) of a document and a keeper; level 0 if it must not be removed for it."""
    hashes = members.text_hash
    if hashes[member, 0] == hashes[keeper, 0] and hashes[member, 1] == hashes[keeper, 1]:
        return EXACT, 1.0
    same_url = by_url and members.url_hash[member] != 0 and members.url_hash[member] == members.url_hash[keeper]
    if same_url or may_reach(signatures.shingles, member, keeper, threshold):
        value = similarity(signatures.values, signatures.offsets, signatures.shingles, member, keeper)
        if same_url:
            return URL, value
        if value >= threshold:
            return NEAR, value
    return 0, 0.0


def cluster_sizes(keeper: I64, dump: I32) -> tuple[Any, Any]:
    """`(size, dumps)`: for each document, the number of documents that its keeper stands for, itself included, and the
    number of distinct dumps they are in; int32 each."""
    size = np.bincount(keeper, minlength=len(keeper))
    pairs = np.unique(keeper * (np.int64(1) << 32) + dump)
    dumps = np.bincount(pairs >> 32, minlength=len(keeper))
    return size[keeper].astype(np.int32), dumps[keeper].astype(np.int32)
