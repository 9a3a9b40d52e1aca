"""Where work is done: in this process, or on the machines of a Ray cluster. Both leave the same table behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedstore.errors import InputError
from indexer.engines.local import Local

if TYPE_CHECKING:
    from indexer.engines.base import Executor

NAMES = ("local", "ray")


def choose(name: str = "local", address: str | None = None, gpus: float = 1.0) -> Executor:
    """Return an engine by name; use it in a ``with`` statement, which starts and ends what it needs.

    Parameters
    ----------
    name
        ``local`` or ``ray``.
    address
        Of a Ray cluster, as ``ray.init`` takes it (``auto``, ``HOST:6379``, ``ray://HOST:10001``); if None, one that
        this process is connected to, else a Ray of its own on this machine.
    gpus
        GPUs of a worker on Ray; several workers share one if it is a fraction.

    Raises
    ------
    InputError
        If there is no such engine, or it has no address.
    """
    if name == "local":
        if address is not None:
            raise InputError(f"the engine 'local' has no address {address!r}; say --engine ray.")
        return Local()
    if name == "ray":
        from indexer.engines.ray import Ray  # noqa: PLC0415 - nothing of Ray's is needed elsewhere

        return Ray(address, gpus)
    raise InputError(f"there is no engine {name!r}; choose one of {', '.join(NAMES)}.")
