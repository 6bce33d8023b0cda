"""Ray clusters of this machine, started for a test."""

from collections.abc import Callable, Sequence
from typing import Any


def start_nodes(make_cluster: Callable[[], Any], cpus: Sequence[int], attempts: int) -> Any:
    """A cluster with a node for each number of CPUs.

    A node has 30 s to start, which nothing can change: where others take the cores, it has to be tried again.
    """
    cluster = make_cluster()
    try:
        for place, count in enumerate(cpus):
            head = {} if place else {"include_dashboard": False}
            cluster.add_node(num_cpus=count, object_store_memory=10**8, **head)
        cluster.wait_for_nodes()
    except Exception as error:  # Ray has no name for it
        cluster.shutdown()
        if attempts == 1 or "timed out" not in str(error):
            raise
        return start_nodes(make_cluster, cpus, attempts - 1)
    return cluster
