"""A process group on the cluster: ranks that start, communicate and end together, as training needs.

Each rank is a Ray actor in a bundle of one placement group. So either all of them have their CPU or GPU, or none holds
one while it waits. The cluster grows for the group as it does for tasks. Every rank gets the environment that torchrun
would give it. When an actor dies, with its node or alone, the others are ended, and a new group goes on from the last
checkpoint.
"""

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from corpus.errors import HeadwaterError
from train.distributed.rank_environment import attempted, environment, free_port, wait_asleep

PATIENCE_SECONDS = 30.0  # how long to wait for room in the cluster before saying so, each time


class Host(NamedTuple):
    """Where a rank runs."""

    node: str  # Ray's id of the node
    address: str
    port: int  # free on that node


def run_process_group(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    size: int,
    *,
    gpus: bool,
    restarts: int,
    note: Callable[[str], None],
) -> Any:
    """Call `function(*arguments)` on `size` ranks of the connected cluster and return what rank 0 returned.

    Raises the HeadwaterError that a rank raised, and HeadwaterError where ranks were lost more than `restarts` times;
    each loss, and a wait for room, is told to `note`.
    """
    for attempt in range(restarts + 1):
        kind, value = _attempt(function, arguments, size, gpus, note)
        if kind == "done":
            return value
        if kind == "lasting":
            raise value
        note(str(value) + (f"; starting again ({attempt + 1} of {restarts})" if attempt < restarts else ""))
    raise HeadwaterError(
        f"{value}; this was attempt {restarts + 1}, the last; mend what ended it (out of memory?) and run it again: it "
        "goes on from the last checkpoint"
    )


class RankActor:
    """The actor that is one rank."""

    def host(self) -> Host:
        """Where it runs."""
        import ray

        return Host(ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), free_port())

    def run(self, variables: dict[str, str], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """What `attempted` says of the function under these environment variables."""
        os.environ |= variables
        wait_asleep()
        return attempted(function, arguments)


def _attempt(
    function: Callable[..., Any], arguments: tuple[Any, ...], size: int, gpus: bool, note: Callable[[str], None]
) -> tuple[str, Any]:
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    cpus = ray.cluster_resources().get("CPU", 1.0)
    share = 1.0 if gpus or size <= cpus else 1.0 / -(-size // max(1, int(cpus)))  # of a small machine, for trials
    resources = {"CPU": share} | ({"GPU": 1.0} if gpus else {})
    bundles = placement_group([resources] * size, strategy="PACK")
    actors = []
    try:
        while not bundles.wait(PATIENCE_SECONDS):
            note(f"waiting for {size} x {resources} in a cluster of {_total(ray)}")
        for index in range(size):
            bundle = PlacementGroupSchedulingStrategy(bundles, placement_group_bundle_index=index)
            options = {"num_cpus": share, "num_gpus": 1.0 if gpus else 0.0, "scheduling_strategy": bundle}
            actors.append(ray.remote(RankActor).options(**options).remote())
        try:
            hosts: list[Host] = ray.get([actor.host.remote() for actor in actors])
            order = sorted(range(size), key=lambda index: hosts[index].node)  # neighbouring ranks share a node
            actors, hosts = [actors[index] for index in order], [hosts[index] for index in order]
            running = [
                actor.run.remote(variables, function, arguments)
                for actor, variables in zip(actors, _environments(hosts))
            ]
            first, waiting = running[0], list(running)
            while waiting:
                ready, waiting = ray.wait(waiting)
                kind, value = ray.get(ready[0])
                if kind == "lost":
                    return kind, _cause(ray, running, value)
                if kind == "lasting":
                    return kind, value
            outcome: tuple[str, Any] = ray.get(first)
            return outcome
        except ray.exceptions.RayError as error:
            return "lost", f"a process of the run was lost: {_brief(error)}"
    finally:
        for actor in actors:
            ray.kill(actor)
        remove_placement_group(bundles)


def _cause(ray: Any, running: list[Any], value: str) -> str:
    """What ended the run: an actor that died, if there is one, as the others only say that they lost it."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        ready, _ = ray.wait(running, num_returns=len(running), timeout=0.2)
        for reference in ready:
            try:
                ray.get(reference)
            except ray.exceptions.RayError as error:
                return f"rank {running.index(reference)} of {len(running)} was lost: {_brief(error)}"
        if len(ready) == len(running):
            break
    return value


def _environments(hosts: list[Host]) -> list[dict[str, str]]:
    """The environment of each rank, given where each runs."""
    nodes = [host.node for host in hosts]
    return [
        environment(rank, len(nodes), nodes[:rank].count(node), nodes.count(node), hosts[0].address, hosts[0].port)
        for rank, node in enumerate(nodes)
    ]


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _total(ray: Any) -> str:
    found = ray.cluster_resources()
    return f"{found.get('CPU', 0):g} CPUs and {found.get('GPU', 0):g} GPUs"
