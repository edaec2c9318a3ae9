"""`domains` says of every document where it belongs, whether it is kept, and whether it is held out for validation.

It joins columns, never text. The split is a hash of the document's cluster of near-duplicates, not of its id. So no
document of the training set has a near-duplicate in the validation set, even where duplicates are kept.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import BaseModel, ConfigDict

from corpus.io import table
from corpus.mixture.plan import seen_class
from corpus.spans import cut_lengths
from pipelines.config.remix import DomainRule
from pipelines.engine.shapes import ShardStage
from pipelines.engine.shard_ref import ShardRef
from pipelines.engine.stage import Counts, Task, Upstream
from pipelines.engine.stamps import add_counts
from pipelines.stages.kept import KeptCounts, count_kept

SPLITS = ("train", "validation")
SCHEMA = pa.schema([("id", pa.string()), ("domain", pa.string()), ("keep", pa.bool_()), ("split", pa.string())])


class SplitCounts(Counts, total=False):
    """What is kept of a domain in a split; `languages` are its bytes by language."""

    languages: dict[str, int]


DomainSplits = dict[str, dict[str, SplitCounts]]  # domain: split: what is kept


class DomainCounts(KeptCounts, total=False):
    """Documents and bytes, all and kept, the latter by domain and split."""

    domains: DomainSplits


class DomainParameters(BaseModel):
    """What decides a document's domain and split."""

    model_config = ConfigDict(frozen=True)
    domains: tuple[DomainRule, ...]
    validation: float
    cluster_weights: dict[int, float]


class DomainStage(ShardStage[DomainParameters]):
    """documents, duplicates, verdicts, dropped sites[, passages, topics] -> domains: id, domain, keep, split

    What passages cut counts as no bytes of a domain, and a document of which they cut all is not kept.
    """

    name: ClassVar[str] = "domains"
    version: ClassVar[int] = 2
    folder: ClassVar[str] = "domains"
    phase: ClassVar[str] = "remix"
    uses = ("dropped_sites",)

    def __init__(self, root: str, parameters: DomainParameters, plain: Sequence[str], passages: bool) -> None:
        """`plain` names the inputs that are no crawls; `passages` says whether the run has cut passages."""
        super().__init__(root, parameters)
        self.plain = frozenset(plain)
        by_topic = any(rule.topic != "*" for rule in parameters.domains)
        more = (*(["passages"] if passages else []), *(["topics"] if by_topic else []))
        self.reads = ("documents", "duplicates", "verdicts", *more)

    def arguments(self, shard: ShardRef, upstream: Upstream) -> dict[str, Any]:
        """The dump or source, and whether it is a plain one."""
        return {"source": shard.dump, "plain": shard.dump in self.plain}

    def run(self, task: Task) -> DomainCounts:
        """Join a shard's columns; the counts hold what is kept of each domain in each split."""
        columns = ["id", "site", "language", "length"]
        documents = table.read_table(self.path(task.one("documents")), columns)
        duplicates = self.beside(task, "duplicates", ["keep", "cluster", "cluster_size"], documents)
        verdicts = self.beside(task, "verdicts", ["keep"], documents)
        dropped = table.read_table(self.path(task.one("dropped_sites")), ["site"])["site"].combine_chunks()
        keep = pc.and_(duplicates["keep"], verdicts["keep"])
        keep = pc.and_(keep, pc.invert(pc.is_in(documents["site"], dropped)))
        lengths = documents["length"].to_numpy()
        if task.has("passages"):
            left = lengths - cut_lengths(self.beside(task, "passages", ["spans"], documents))
            keep = pc.and_(keep, pa.array((left > 0) | (lengths == 0)))
            lengths = left
        topics = pa.chunked_array([pa.nulls(len(documents), pa.string())])
        if task.has("topics"):
            topics = self.beside(task, "topics", ["topic"], documents)["topic"]
        source, plain = task.arguments["source"], task.arguments["plain"]
        rules = self.parameters.domains
        domain = domains_of(documents["site"], documents["language"], topics, source, plain, rules)
        if self.parameters.cluster_weights:
            domain = with_classes(domain, duplicates["cluster_size"].to_numpy(), self.parameters.cluster_weights)
        split = np.where(held_out(duplicates["cluster"], self.parameters.validation), SPLITS[1], SPLITS[0])
        rows = pa.table({"id": documents["id"], "domain": domain, "keep": keep, "split": split}, schema=SCHEMA)
        return self.write(task, rows, count_domains(domain, documents["language"], keep.to_numpy(), split, lengths))


def domains_of(
    sites: pa.ChunkedArray,
    languages: pa.ChunkedArray,
    topics: pa.ChunkedArray,
    source: str,
    plain: bool,
    rules: Sequence[DomainRule],
) -> pa.Array:
    """The domain of each document: that of the first rule whose globs all match, else the default one."""
    parts = pc.binary_join_element_wise(*(pc.fill_null(column, "") for column in (sites, languages, topics)), "\0")
    coded = parts.combine_chunks().dictionary_encode()
    names = [_domain_of(part.split("\0"), source, plain, rules) for part in coded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(coded.indices)


def _domain_of(parts: Sequence[str], source: str, plain: bool, rules: Sequence[DomainRule]) -> str:
    site, language, topic = parts
    found = {"source": source, "site": site, "language": language, "topic": topic}
    for rule in rules:
        if all(fnmatchcase(value, getattr(rule, name)) for name, value in found.items()):
            return rule.domain
    return source if plain else f"web-{language or 'und'}"


def with_classes(domain: pa.Array, sizes: npt.NDArray[np.int32], cluster_weights: Mapping[int, float]) -> pa.Array:
    """The domain of each document with the class of its cluster's size (`corpus.mixture.plan.seen_class`)."""
    leasts = np.array(sorted({1, *cluster_weights}))
    classes = leasts[np.searchsorted(leasts, sizes, side="right") - 1]
    coded = domain.dictionary_encode()
    names, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy()
    pairs, inverse = np.unique(np.stack([codes, classes]), axis=1, return_inverse=True)
    return pa.array([seen_class(names[code], int(least)) for code, least in pairs.T]).take(pa.array(inverse.ravel()))


def held_out(clusters: pa.ChunkedArray, share: float) -> npt.NDArray[np.bool_]:
    """Whether each document is for validation: xxh3-64 of its cluster's id lies in the lowest `share` of all values.

    A cluster is named after its keeper. So a document moves between the splits only if deduplication, given new dumps,
    chooses another keeper for its cluster.
    """
    hashes = np.array(
        [xxhash.xxh3_64_intdigest(name) for name in pc.cast(clusters, pa.binary()).to_pylist()], np.uint64
    )
    return hashes < np.uint64(min(int(share * 2**64), 2**64 - 1))


def count_domains(
    domain: pa.Array,
    language: pa.ChunkedArray,
    keep: npt.NDArray[np.bool_],
    split: npt.NDArray[np.str_],
    lengths: npt.NDArray[np.int64],
) -> DomainCounts:
    """Documents and bytes, all and kept, and what is kept of each domain in each split, bytes by language too."""
    columns = {"domain": domain, "split": split, "language": language, "length": lengths}
    groups = pa.table(columns).filter(pa.array(keep)).group_by(["domain", "split", "language"], use_threads=False)
    rows = groups.aggregate([("length", "sum"), ("length", "count")]).to_pylist()
    domains: DomainSplits = {}
    for row in sorted(rows, key=lambda row: (row["domain"], row["split"], row["language"])):
        of = domains.setdefault(row["domain"], {name: nothing() for name in SPLITS})
        found = {"documents": row["length_count"], "bytes": row["length_sum"]}
        add_counts(of[row["split"]], found | {"languages": {row["language"]: row["length_sum"]}})
    return {**count_kept(keep, lengths), "domains": domains}


def nothing() -> SplitCounts:
    """The counts of a split that holds no document."""
    return {"documents": 0, "bytes": 0, "languages": {}}
