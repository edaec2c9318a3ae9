"""Into how many parts deduplication is cut so that each fits the memory of a task: a matter of counts and planning.

Documents are numbered through all shards in the order of the recipe (`pipelines.stages.numbering`). Keys, and later
components, are cut into *partitions*, evenly, because they are hashes. For connected components the numbers of
documents themselves are cut into *ranges* of whole groups of shards. Once all signatures are counted, every plan makes
both anew; what a task has to know of them is among its arguments.
"""

from collections.abc import Sequence

from corpus.errors import HeadwaterError
from pipelines.engine.stage import Task, Upstream

KEY_BYTES = 44  # a key while candidates are found: itself, its document, its sorted word, and an edge of it
NODE_BYTES = 12  # a document while its range is contracted, or labelled


def partition_count(documents: int, kinds: int, budget: int, least: int) -> int:
    """How many partitions keep the `kinds` keys of every document within the bytes of a task; `least` at least."""
    return max(least, -(-documents * kinds * KEY_BYTES // budget))


def number_ranges(sizes: Sequence[int], budget: int) -> list[int]:
    """The first number of each range, and the end of the last: as few ranges as the bytes of a task allow.

    `sizes` are the documents of each group of shards; a range is made of whole groups. Raises HeadwaterError where a
    single group is too large.
    """
    most = budget // NODE_BYTES
    cuts, number = [0], 0
    for size in sizes:
        if size > most:
            raise HeadwaterError(
                f"a group of shards has {size:,} documents, which takes {size:,} x {NODE_BYTES} bytes to find their "
                f"components, and a task of dedup may hold {budget:,}; raise dedup.memory_bytes, or lower "
                "dedup.shards_per_group"
            )
        if number + size - cuts[-1] > most:
            cuts.append(number)
        number += size
    return [*cuts, number]


def all_partitions(upstream: Upstream, stage: str) -> Sequence[Task]:
    """All tasks of a stage whose tasks know how many there are; raises NotPlanned where one was set aside."""
    tasks = upstream[stage]
    return upstream.whole(stage, tasks[0].arguments["partitions"] if tasks else 1)
