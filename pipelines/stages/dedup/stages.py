"""Cross-dump deduplication as stages.

    signatures  of each shard, the only stage that reads text
    texts       keys of whole texts, a file a group of shards
    layout      how many parts everything is cut into
    copies      documents of equal text
    shuffle     keys of bands and URLs, of all documents but copies
    candidates  documents that share a bucket
    forests     the edges of each range of documents, contracted
    components  which documents hang together
    members     their signatures, in the order of components
    clusters    keepers, and who is removed for whom
    fates       the same, by group of shards
    duplicates  the fate of every document, and the curve of all dumps

Each stage takes of the recipe's section only what decides its output, so that a changed parameter recomputes what
depends on it and no more: a threshold or a policy begins at the clusters, a filter's verdict too, a new dump adds its
own signatures and redoes the (text-free) stages after them.
"""

from typing import TypeVar

from pydantic import BaseModel

from pipelines.config.dedup import DedupParameters
from pipelines.engine.stage import NoParameters, Stage
from pipelines.stages.dedup.components import ComponentStage, LocalComponentStage
from pipelines.stages.dedup.duplicates import DedupRateParameters, DedupRateStage, DuplicateParameters, DuplicateStage
from pipelines.stages.dedup.edges import CandidateEdgeStage, EdgeParameters, ExactEdgeStage
from pipelines.stages.dedup.keepers import KeeperParameters, KeeperStage
from pipelines.stages.dedup.keepers_by_shard import KeeperByShardParameters, KeeperByShardStage
from pipelines.stages.dedup.keys import BandKeyParameters, BandKeyStage, ExactKeyStage, KeyParameters
from pipelines.stages.dedup.members import MemberParameters, MemberStage
from pipelines.stages.dedup.partition_plan import PartitionParameters, PartitionPlanStage
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
        PartitionPlanStage(root, having(PartitionParameters)),
        ExactEdgeStage(root, having(EdgeParameters)),
        BandKeyStage(root, having(BandKeyParameters)),
        CandidateEdgeStage(root, having(EdgeParameters)),
        LocalComponentStage(root, NoParameters()),
        ComponentStage(root, NoParameters()),
        MemberStage(root, having(MemberParameters)),
        KeeperStage(root, having(KeeperParameters)),
        KeeperByShardStage(root, having(KeeperByShardParameters)),
        DuplicateStage(root, having(DuplicateParameters)),
        DedupRateStage(root, having(DedupRateParameters)),
    ]
