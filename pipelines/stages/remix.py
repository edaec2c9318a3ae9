"""Remixing as two stages: `domains` says of every document where it belongs, `mixture` weighs the domains.

`domains` joins columns, never text: which domain, whether deduplication and filter both keep it, and whether it is held
out for validation. The split is a hash of the document's cluster of near-duplicates, not of its id, so that no document
of the training set has a near-duplicate in the validation set, even where duplicates are kept. `mixture` is one task
over the counts of all shards; it writes mixture/plan.json, the contract with tokenization and training.
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

from corpus.errors import UsageError, nearest
from corpus.io import storage, table
from corpus.mixture.plan import Method, make_plan, resolve, seen_class, with_languages
from corpus.spans import cut_lengths
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe
from pipelines.config.remix import DomainRule, RemixParameters
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.engine.stamps import add_counts
from pipelines.stages.filter.stages import partition_of

PLAN = "mixture/plan.json"
TOKEN_PLAN = "mixture/tokens.json"
SPLITS = ("train", "validation")
SCHEMA = pa.schema([("id", pa.string()), ("domain", pa.string()), ("keep", pa.bool_()), ("split", pa.string())])


class DomainParameters(BaseModel):
    """What decides a document's domain and split."""

    model_config = ConfigDict(frozen=True)
    domains: tuple[DomainRule, ...]
    validation: float
    cluster_weights: dict[int, float]


class MixtureParameters(BaseModel):
    """What decides the weights."""

    model_config = ConfigDict(frozen=True)
    method: Method
    weights: dict[str, float]
    temperature: float
    epoch_cap: float
    budget: int | None
    bytes_per_token: float
    cluster_weights: dict[int, float]


def remix_stages(root: str, recipe: Recipe) -> list[Stage]:
    """Both stages of a recipe; they take documents, duplicates and verdicts from the stages planned before them."""
    if any(rule.topic != "*" for rule in recipe.remix.domains) and not recipe.judges.topics:
        raise UsageError("remix.domains: a rule names a topic, and nothing says topics; name a model in judges.topics")
    plain = [item.name for item in recipe.inputs if not isinstance(item, CrawlInput)]
    possible = [*(rule.domain for rule in recipe.remix.domains), *plain]
    possible += [f"web-{language}" for language in recipe.filter.languages]
    any_language = any(item.rules != "auto" for item in recipe.inputs)
    for name in recipe.remix.weights:
        if name not in possible and not (any_language and name.startswith("web-")):
            raise UsageError(
                f"remix.weights.{name}: no document has this domain; {nearest(name, possible, 'there are')}"
            )
    section = recipe.remix.model_dump()
    of_domains = DomainParameters.model_validate({key: section[key] for key in DomainParameters.model_fields})
    return [DomainStage(root, of_domains, plain), MixtureStage(root, mixture_parameters(recipe.remix))]


def mixture_parameters(section: RemixParameters) -> MixtureParameters:
    """The part of the section that decides the weights."""
    values = section.model_dump()
    return MixtureParameters.model_validate({key: values[key] for key in MixtureParameters.model_fields})


class DomainStage(Stage[DomainParameters]):
    """documents, duplicates, verdicts[, passages, topics] of dump=D/N.parquet -> domains/: id, domain, keep, split

    What passages cut counts as no bytes of a domain, and a document of which they cut all is not kept.
    """

    name: ClassVar[str] = "domains"
    version: ClassVar[int] = 2
    folder: ClassVar[str] = "domains"
    phase: ClassVar[str] = "remix"

    def __init__(self, root: str, parameters: DomainParameters, plain: Sequence[str]) -> None:
        """`plain` names the inputs that are no crawls."""
        super().__init__(root, parameters)
        self.plain = frozenset(plain)

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard."""
        duplicates = {shard_of(task): task for task in done["duplicates"]}
        verdicts = {shard_of(task): task for task in done["verdicts"]}
        passages = [{shard_of(task): task for task in done["passages"]}] if "passages" in done else []
        by_topic = any(rule.topic != "*" for rule in self.parameters.domains)
        topics = {shard_of(task): task for task in done["topics"]} if by_topic else {}
        dropped = done["dropped_sites"]
        tasks = []
        for documents in (task for made in done.values() for task in made if task.output.startswith("documents/")):
            shard, source = shard_of(documents), partition_of(documents.output)
            beside = [duplicates, verdicts, *passages, *([topics] if by_topic else [])]
            if all(shard in tasks_of for tasks_of in beside):  # else one of them had to be set aside
                inputs = [documents, *dropped, *(tasks_of[shard] for tasks_of in beside)]
                tasks.append(self.task(f"domains/{shard}", inputs, source=source, plain=source in self.plain))
        return tasks

    def run(self, task: Task) -> Counts:
        """Join a shard's columns; the counts hold what is kept of each domain in each split."""
        paths = {path.split("/", 1)[0]: self.path(path) for path in task.inputs}
        documents = table.read_table(paths["documents"], ["id", "site", "language", "length"])

        def beside(name: str, columns: list[str]) -> pa.Table:
            found = table.read_table(paths[name], ["id", *columns])
            table.check_ids(documents, found, paths[name])
            return found

        duplicates = beside("duplicates", ["keep", "cluster", "cluster_size"])
        dropped = table.read_table(paths["sites"], ["site"])["site"].combine_chunks()
        keep = pc.and_(duplicates["keep"], beside("verdicts", ["keep"])["keep"])
        keep = pc.and_(keep, pc.invert(pc.is_in(documents["site"], dropped)))
        lengths = documents["length"].to_numpy()
        if "passages" in paths:
            lengths = lengths - cut_lengths(beside("passages", ["spans"]))
            keep = pc.and_(keep, pa.array((lengths > 0) | (documents["length"].to_numpy() == 0)))
        topics = pa.chunked_array([pa.nulls(len(documents), pa.string())])
        if "topics" in paths:
            topics = beside("topics", ["topic"])["topic"]
        domain = domains_of(
            documents["site"],
            documents["language"],
            topics,
            task.arguments["source"],
            task.arguments["plain"],
            self.parameters.domains,
        )
        if self.parameters.cluster_weights:
            domain = with_classes(domain, duplicates["cluster_size"].to_numpy(), self.parameters.cluster_weights)
        split = np.where(held_out(duplicates["cluster"], self.parameters.validation), SPLITS[1], SPLITS[0])
        rows = pa.table({"id": documents["id"], "domain": domain, "keep": keep, "split": split}, schema=SCHEMA)
        counts = count_domains(domain, documents["language"], keep.to_numpy(), split, lengths)
        with table.ShardWriter(self.path(task.output), SCHEMA) as writer:
            writer.write(rows)
            writer.metadata = task.stamp(counts)
        return counts


class MixtureStage(Stage[MixtureParameters]):
    """The counts of domains/** -> mixture/plan.json"""

    name: ClassVar[str] = "mixture"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "remix"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task over all shards."""
        return [self.task(PLAN, done["domains"])]

    def run(self, task: Task) -> Counts:
        """Weigh the training split of each domain by its bytes."""
        plan = plan_mixture(counted_domains([self.path(path) for path in task.inputs]), self.parameters)
        counts = {name: sum(domain[name] for domain in plan["domains"]) for name in ("documents", "bytes")}
        storage.write_json(self.path(task.output), task.stamp(counts) | plan)
        return counts


def counted_domains(shards: Sequence[str]) -> Counts:
    """What the shards of domains/ counted: by domain and split, the documents and bytes that are kept."""
    total: Counts = {}
    for path in shards:
        add_counts(total, table.require_metadata(path)["counts"])
    domains: Counts = total.get("domains", {})
    return domains


def plan_mixture(domains: Counts, options: MixtureParameters) -> dict[str, Any]:
    """The mixture in bytes of the counted domains, with what is held out of each."""
    plan = make_plan(
        {name: part["train"]["bytes"] for name, part in domains.items()},
        {name: part["train"]["documents"] for name, part in domains.items()},
        unit="bytes",
        method=options.method,
        weights=options.weights,
        temperature=options.temperature,
        epoch_cap=options.epoch_cap,
        budget=None if options.budget is None else round(options.budget * options.bytes_per_token),
        cluster_weights=options.cluster_weights,
    )
    for domain in plan["domains"]:
        domain["validation"] = domains.get(domain["domain"], {}).get("validation", _nothing())
    return with_languages(plan, {name: part["train"]["languages"] for name, part in domains.items()})


def shard_of(task: Task) -> str:
    """`dump=D/N.parquet`, which a shard is called whatever table it is of."""
    return task.output.split("/", 1)[1]


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

    A cluster is named after its keeper, so a document moves between the splits only if deduplication, given new dumps,
    chooses its cluster another keeper.
    """
    hashes = np.array(
        [xxhash.xxh3_64_intdigest(name) for name in pc.cast(clusters, pa.binary()).to_pylist()], np.uint64
    )
    return hashes < np.uint64(min(int(share * 2**64), 2**64 - 1))


def count_domains(
    domain: pa.Array, language: pa.ChunkedArray, keep: npt.NDArray, split: npt.NDArray, lengths: npt.NDArray
) -> Counts:
    """Documents and bytes, all and kept, and what is kept of each domain in each split, bytes by language too."""
    columns = {"domain": domain, "split": split, "language": language, "length": lengths}
    groups = pa.table(columns).filter(pa.array(keep)).group_by(["domain", "split", "language"], use_threads=False)
    rows = groups.aggregate([("length", "sum"), ("length", "count")]).to_pylist()
    domains: Counts = {}
    for row in sorted(rows, key=lambda row: (row["domain"], row["split"], row["language"])):
        of = domains.setdefault(row["domain"], {name: _nothing() for name in SPLITS})
        size = {"documents": row["length_count"], "bytes": row["length_sum"]}
        add_counts(of[row["split"]], size | {"languages": {row["language"]: row["length_sum"]}})
    return {
        "documents": len(keep),
        "bytes": int(lengths.sum()),
        "kept": int(keep.sum()),
        "kept_bytes": int(lengths[keep].sum()),
        "domains": domains,
    }


def _nothing() -> Counts:
    return {"documents": 0, "bytes": 0, "languages": {}}


def write_token_plan(
    root: str, tokens: Mapping[str, Mapping[str, int]], budget: int | None, stamp: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Resolve the plan with the tokens there are of each domain, by language, and write mixture/tokens.json; return it.

    `stamp` (a task's `stamp(counts)`) goes to the top level, where the file is a task's output.
    """
    sizes = {domain: sum(languages.values()) for domain, languages in tokens.items()}
    plan = with_languages(resolve(storage.read_json(storage.join(root, PLAN)), sizes, budget), tokens)
    storage.write_json(storage.join(root, TOKEN_PLAN), dict(stamp or {}) | plan)
    return plan
