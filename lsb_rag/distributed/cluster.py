"""A Ray cluster: the library loaded, a connection made, its room measured."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import ClusterError, InvalidInputError, MissingExtraError

ADDRESS_VARIABLE = "RAY_ADDRESS"
CONNECT_SECONDS = 5.0
"""How long a cluster's address is tried; Ray itself goes on for minutes."""
THREADS = 4
"""CPUs of an actor, where the number of actors is left to us."""


def load_ray() -> Any:
    """Ray, with nothing reported to anybody.

    :raises MissingExtraError: When the extra ``ray`` is not installed.
    """
    # Read when Ray is loaded: no usage statistics, and on the terminal no log of its C++ core.
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
    """A connection to a cluster, which ends here where it began here.

    :raises ClusterError: When there is none.
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
        with _without_stderr():  # where the core says which level it logs at
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


def room(nodes: Iterable[Mapping[str, Any]], workers: int | None) -> tuple[int, dict[str, int]]:
    """How many actors, and what each of them takes.

    :param nodes: Of a cluster, as ``ray.nodes()`` lists them.
    :raises InvalidInputError: For more of them than the cluster has room for: they would be waited for without end.
    """
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    cpus = [int(one.get("CPU", 0)) for one in resources]
    if room := sum(int(one.get("GPU", 0)) for one in resources):
        wanted, threads, takes = room if workers is None else workers, 1, {"num_gpus": 1}
    else:
        room, takes = sum(cpus), {}
        wanted = sum(-(-one // THREADS) for one in cpus) if workers is None else workers
        fitting = (
            threads for threads in range(max(cpus, default=0), 0, -1) if sum(n // threads for n in cpus) >= wanted
        )
        threads = next(fitting, 0)
    if not room:
        raise InvalidInputError("The Ray cluster has no CPUs for workers.")
    if not 1 <= wanted <= room:
        raise InvalidInputError(f"The Ray cluster has room for 1 to {room} workers, not {wanted}.")
    return wanted, {"num_cpus": threads, **takes}


@contextmanager
def _without_stderr() -> Iterator[None]:
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
