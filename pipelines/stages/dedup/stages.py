"""Cross-dump deduplication as stages.

    signatures        of each shard, the only stage that reads text
    exact_keys        keys of whole texts, a file per group of shards
    exact_edges       documents of equal text
    band_keys         keys of bands and URLs, of documents that repeat no earlier text
    candidate_edges   documents that share a band or a URL
    local_components  the edges of each range of documents, contracted
    components        which documents hang together
    members           their signatures, in the order of components
    keepers           who stays, and who is removed for whom
    keepers_by_shard  the same, by group of shards
    duplicates        what became of every document
    dedup_rate        the share removed over the dumps, and the sites that lost most

Each stage takes of the recipe's section only what decides its output, so that a changed parameter recomputes what
depends on it and no more: a threshold or a policy begins at the keepers, a filter's verdict at the members. A new dump
adds its own signatures and keys and redoes the (text-free) stages after them.
"""

from typing import TypeVar

from pydantic import BaseModel

from pipelines.config.dedup import DedupParameters
from pipelines.engine.stage import NoParameters, Stage
from pipelines.stages.dedup.components import ComponentStage, LocalComponentStage, RangeParameters
from pipelines.stages.dedup.dedup_rate import DedupRateParameters, DedupRateStage
from pipelines.stages.dedup.duplicates import DuplicateParameters, DuplicateStage
from pipelines.stages.dedup.edges import CandidateEdgeStage, EdgeParameters, ExactEdgeStage
from pipelines.stages.dedup.keepers import KeeperParameters, KeeperStage
from pipelines.stages.dedup.keepers_by_shard import KeeperByShardParameters, KeeperByShardStage
from pipelines.stages.dedup.keys import BandKeyParameters, BandKeyStage, ExactKeyStage, KeyParameters
from pipelines.stages.dedup.members import MemberParameters, MemberStage
from pipelines.stages.dedup.signatures import SignatureParameters, SignatureStage

M = TypeVar("M", bound=BaseModel)
PROCESS_BYTES = 640 << 20  # of a task's memory: the interpreter, its libraries, and a row group being read or written


def dedup_stages(root: str, section: DedupParameters) -> list[Stage]:
    """The stages in order; they take documents (and verdicts) from the stages planned before them."""
    chosen = section.model_dump() | {
        "keep": section.policy,
        "takedown": section.takedown.rules,
        "budget": section.memory_bytes - PROCESS_BYTES,
        "kinds": section.bands + section.urls,
        "judged": "quality" in section.keep,
    }

    def having(model: type[M]) -> M:
        return model(**{name: chosen[name] for name in model.model_fields})

    return [
        SignatureStage(root, having(SignatureParameters)),
        ExactKeyStage(root, having(KeyParameters)),
        ExactEdgeStage(root, having(EdgeParameters)),
        BandKeyStage(root, having(BandKeyParameters)),
        CandidateEdgeStage(root, having(EdgeParameters)),
        LocalComponentStage(root, having(RangeParameters)),
        ComponentStage(root, NoParameters()),
        MemberStage(root, having(MemberParameters)),
        KeeperStage(root, having(KeeperParameters)),
        KeeperByShardStage(root, having(KeeperByShardParameters)),
        DuplicateStage(root, having(DuplicateParameters)),
        DedupRateStage(root, having(DedupRateParameters)),
    ]
