"""A Ray cluster: load the library, connect, plan the actors."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import ClusterError, InvalidInputError, MissingExtraError

ADDRESS_VARIABLE = "RAY_ADDRESS"
CONNECT_SECONDS = 5.0
"""Timeout of the first connection to a cluster; Ray itself tries for minutes."""
THREADS = 4
"""CPUs of an actor, when the number of actors is not given."""


def load_ray() -> Any:
    """Load Ray with its usage statistics turned off.

    :raises MissingExtraError: When the extra ``ray`` is not installed.
    """
    # Ray reads these when it is loaded: no usage statistics, and no log of its C++ core on the terminal.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("Ray is not installed. Install it with `pip install 'lsb-rag[ray]'`.") from error
    return ray


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, and disconnect afterwards. An existing connection is used and kept.

    :param address: ``host:port`` or ``auto``. Default: ``$RAY_ADDRESS``, else a cluster of this machine alone.
    :raises ClusterError: When the cluster cannot be reached.
    """
    ray = load_ray()
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get(ADDRESS_VARIABLE) or "local"
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == "local":
        options["include_dashboard"] = False
    try:
        _check_reachable(address)
        with _without_stderr():  # the core prints its log level there
            ray.init(address, **options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(
            f"The Ray cluster {address!r} cannot be reached ({str(error).removesuffix('.')}). Check that it runs, and "
            "call this from one of its machines."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def plan_actors(nodes: Iterable[Mapping[str, Any]], workers: int | None) -> tuple[int, dict[str, int]]:
    """Return the number of actors, and the resources of each.

    :param nodes: The nodes of a cluster, as ``ray.nodes()`` lists them.
    :param workers: Number of actors. Default: one for each GPU of the cluster, else for every four CPUs.
    :raises InvalidInputError: When the cluster does not have room for that many. Ray would wait for room forever.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in alive]
    gpus = sum(int(node.get("GPU", 0)) for node in alive)
    if gpus:
        capacity = gpus
        count = gpus if workers is None else workers
        resources = {"num_cpus": 1, "num_gpus": 1}
    else:
        capacity = sum(cpus)
        count = sum(math.ceil(n / THREADS) for n in cpus) if workers is None else workers
        resources = {"num_cpus": _most_threads(cpus, count)}
    if capacity == 0:
        raise InvalidInputError("The Ray cluster has no CPUs for workers.")
    if not 1 <= count <= capacity:
        raise InvalidInputError(f"The Ray cluster has room for 1 to {capacity} workers, not {count}.")
    return count, resources


def _most_threads(cpus: Sequence[int], actors: int) -> int:
    """Return the most CPUs that each of `actors` can have, given the CPUs of each node; 0 if they do not fit."""
    for threads in range(max(cpus, default=0), 0, -1):
        if sum(n // threads for n in cpus) >= actors:
            return threads
    return 0


@contextmanager
def _without_stderr() -> Iterator[None]:
    # The file descriptor, because Ray's core does not write through sys.stderr.
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as devnull:
            os.dup2(devnull.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
