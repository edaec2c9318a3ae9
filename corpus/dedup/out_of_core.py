"""Keepers of a component that is larger than memory: the same greedy pass, over blocks of keepers.

The election takes documents in the order of the policy and needs to hold only the keepers so far. So a component is
read in that order, a part at a time, beside a block of keepers. Once the block is full, documents that match none of
it are left undecided, and the next pass takes them, in the same order, with an empty block. A document is undecided
only if it matches no keeper of the block, and all keepers before it will be met in a later pass. So the documents that
are removed are those of the pass in one piece. One that matches keepers of several blocks names the best of the first.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from corpus.dedup.keepers import UNDECIDED, Election, Members, elect


def elect_in_parts(
    order: npt.NDArray[np.int64],
    gather: Callable[[npt.NDArray[np.int64]], Members],
    held: int,
    threshold: float,
    by_url: bool = False,
) -> Election:
    """`corpus.dedup.keepers.elect` of the documents in `order`, of which at most `held` (2 or more) are gathered at
    once.

    `gather` gives the members with the given indices, in that order; it is called with those of a block of keepers and
    a part of the order.
    """
    count = len(order)
    election = Election(np.arange(count), np.ones(count, np.float32), np.zeros(count, np.int8))
    waiting = order
    while len(waiting):
        block, undecided = waiting[:0], []
        for at in range(0, len(waiting), held // 2):
            part = np.concatenate([block, waiting[at : at + held // 2]])
            found = elect(gather(part), np.arange(len(part)), threshold, by_url, most_keepers=held // 2)
            election.keeper[part] = part[found.keeper]
            election.similarity[part], election.level[part] = found.similarity, found.level
            block = part[found.level == 0]
            undecided.append(part[found.level == UNDECIDED])
        waiting = np.concatenate(undecided)
    return election
