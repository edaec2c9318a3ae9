"""Cross-dump deduplication as stages: signatures, shuffle, candidates, components, clusters, duplicates, curve.

Each stage takes of the recipe's section only what decides its output, so that a changed parameter recomputes what
depends on it and no more: a threshold or a policy begins at the clusters, a filter's verdict too, a new dump adds its
own signatures and redoes the (text-free) stages after them.
"""

from typing import Any

from pydantic import BaseModel

from pipelines.engine.stage import NoParameters, Stage
from pipelines.sections.dedup import DedupParameters
from pipelines.stages.dedup_candidates import CandidateStage, ComponentStage, PartitionParameters
from pipelines.stages.dedup_clusters import ClusterParameters, ClusterStage
from pipelines.stages.dedup_duplicates import CurveStage, DuplicateStage
from pipelines.stages.dedup_signatures import ShuffleParameters, ShuffleStage, SignatureParameters, SignatureStage


def dedup_stages(root: str, section: DedupParameters) -> list[Stage]:
    """The stages in order; they take documents (and verdicts) from the stages planned before them."""
    chosen = section.model_dump()
    partitions = PartitionParameters(partitions=section.partitions)
    return [
        SignatureStage(root, SignatureParameters(**_only(chosen, SignatureParameters))),
        ShuffleStage(root, ShuffleParameters(urls=section.urls)),
        CandidateStage(root, partitions),
        ComponentStage(root, partitions),
        ClusterStage(root, ClusterParameters(**_only(chosen, ClusterParameters))),
        DuplicateStage(root, partitions),
        CurveStage(root, NoParameters()),
    ]


def _only(chosen: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {name: chosen[name] for name in model.model_fields}
