"""Work on a Ray cluster (https://docs.ray.io): Ray Data feeds a pool of actors, one for each core or GPU.

What is kept between two items, the loaded encoder above all, lives in an actor. Ray Data holds back what would not fit
into memory, sends the item of a lost actor to another, and makes the actor anew where there is room.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import sys
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from embedstore.errors import EmbedstoreError, EncoderError, MissingExtraError, StoreError
from indexer.encoders import device as device_names
from indexer.engines import scatter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from embedstore.store import Store
    from indexer.engines.base import R, T
    from indexer.pipeline import Tally
    from indexer.plan.encode import Outcome
    from indexer.plan.work import WorkUnit
    from indexer.units import Scene

ROUNDS, RETRIES = 2, 1
"""How often all that is missing is done anew, on as many actors as there is room for then, and in each round how often
an item is tried again that lost its actor. One that kills each of them is given up after four."""
IN_FLIGHT = 2
"""Items that an actor is sent at once: one to do, and one that waits so that it need not."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
"""No word goes to Ray's makers, and none of Ray's to a screen that shows data; its logs are in its session's folder."""


@dataclass
class Ray:
    """An engine on a Ray cluster; see :class:`.base.Executor`.

    Parameters
    ----------
    address
        As ``ray.init`` takes it; if None, the cluster that this process is connected to, else one of its own on this
        machine, which ends with it.
    gpus
        GPUs of a worker, where it needs one.
    """

    address: str | None = None
    gpus: float = 1.0
    slots: int = field(default=0, init=False)
    _ours: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not self.gpus > 0:
            raise EncoderError(f"a worker with {self.gpus:g} GPUs makes no sense; give more than 0, like 1 or 0.5.")

    def __enter__(self) -> Self:
        if not quiet_ray().is_initialized():
            try:
                connect(**({"address": self.address} if self.address else {"include_dashboard": False}))
            except (ConnectionError, OSError, ValueError, RuntimeError) as error:
                where = f"the Ray cluster at {self.address}" if self.address else "Ray on this machine"
                reason = " ".join(str(error).split())
                raise StoreError(f"{where} cannot be reached: {reason}. Was `ray start --head` run there?") from error
            self._ours = True
        self.slots = self._workers(cuda=False)
        return self

    def __exit__(self, *error: object) -> None:
        if self._ours:
            quiet_ray().shutdown()

    def map(
        self, make: Callable[[], Callable[[T], R]], items: Iterable[T], *, cuda: bool = False, ordered: bool = False
    ) -> Iterator[tuple[int, R]]:
        """Do something with every item, on as many actors as there is room for."""
        left = {i: zlib.compress(pickle.dumps(item)) for i, item in enumerate(items)}
        early: dict[int, R] = {}
        upcoming = 0
        for _ in range(ROUNDS):
            # What Ray itself cannot mend ends a round: a machine that took results with it, an actor that never began.
            with suppress(quiet_ray().exceptions.RayError):
                for position, result in self._round(make, dict(left), cuda=cuda, ordered=ordered):
                    del left[position]
                    early[position] = result
                    if not ordered:
                        yield position, early.pop(position)
                    while upcoming in early:
                        yield upcoming, early.pop(upcoming)
                        upcoming += 1
            if not left:
                break
        yield from sorted(early.items(), key=lambda pair: pair[0])

    def _round(
        self, make: Callable[[], Callable[[T], R]], items: dict[int, bytes], *, cuda: bool, ordered: bool
    ) -> Iterator[tuple[int, R]]:
        """Do it once; what lost its actor too often, or its actor's machine, is left out."""
        if not items:
            return
        ray = quiet_ray()
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1
        context.execution_options.preserve_order = ordered
        logging.getLogger("ray.data").setLevel(logging.CRITICAL + 1)
        workers = min(self._workers(cuda=cuda), len(items))
        with warnings.catch_warnings():
            # Ray 2.64 is to find other words for the last one; pyproject.toml stays below until it has them.
            warnings.simplefilter("ignore")
            rows = [{"position": position, "item": item} for position, item in items.items()]
            done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                _Actor,
                fn_constructor_args=(ray.put(pickle.dumps(make)),),
                batch_size=1,
                # A pool that may shrink cancels actors that are slow to start, and the whole run with them.
                compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=IN_FLIGHT),
                num_cpus=self._cores(cuda=cuda),
                num_gpus=self.gpus if cuda else None,
                max_task_retries=RETRIES,
            )
        for row in done.iter_rows():
            result = pickle.loads(row["result"])  # noqa: S301 - our own actors wrote it
            if isinstance(result, BaseException):
                raise result
            yield int(row["position"]), result

    def encode(
        self, scenes: Sequence[Scene], store: Store, device: str, progress: Callable[[int], None] | None = None
    ) -> Tally:
        """Encode scenes: blocks of chips are items."""
        return self._scatter(scatter.encode, store, device)(self, scenes, progress=progress or (lambda _: None))

    def encode_units(
        self, units: Sequence[WorkUnit], store: Store, device: str, progress: Callable[[int], None] | None = None
    ) -> Outcome:
        """Encode the work units of a plan: they are the items."""
        return self._scatter(scatter.encode_units, store, device)(self, units, progress=progress or (lambda _: None))

    def _scatter(self, work: Callable[..., R], store: Store, device: str) -> Callable[..., R]:
        cuda = self.has_cuda(device)
        made = scatter.worker(store, "cuda" if cuda else "cpu", self._cores(cuda=cuda))
        return partial(work, store=store, make=made, cuda=cuda)

    def has_cuda(self, device: str) -> bool:
        """Tell whether workers shall use GPUs; ``auto`` means that they do if the cluster has any.

        Raises
        ------
        EncoderError
            If there is no such device.
        """
        device_names.check(device)
        gpus = quiet_ray().cluster_resources().get("GPU", 0)
        if device == "cuda" and not gpus:
            raise EncoderError("device cuda was asked for, and the Ray cluster has no GPU; use cpu.")
        return device != "cpu" and gpus > 0

    def _workers(self, *, cuda: bool) -> int:
        there = quiet_ray().cluster_resources()
        return max(1, int(there.get("GPU", 0) / self.gpus if cuda else there.get("CPU", 1)))

    def _cores(self, *, cuda: bool) -> int:
        """Return the cores of a worker: one, or its share of a machine with GPUs."""
        return max(1, int(quiet_ray().cluster_resources().get("CPU", 1)) // self._workers(cuda=True)) if cuda else 1


class _Actor:
    """What runs on the other side: errors travel back as results, and what is lost is lost alone."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._work: Callable[[Any], Any] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        results = np.empty(len(batch["item"]), object)
        for i, item in enumerate(batch["item"]):
            results[i] = pickle.dumps(self._do(pickle.loads(zlib.decompress(item))))  # noqa: S301 - from our own driver
        return {"position": batch["position"], "result": results}

    def _do(self, item: Any) -> Any:
        try:
            if self._work is None:
                self._work = pickle.loads(quiet_ray().get(self._make))()  # noqa: S301 - as above
            return self._work(item)
        except EmbedstoreError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a bug, which is raised where it can be seen
            error.add_note("raised by a worker on Ray")
            return error


def connect(**options: Any) -> None:
    """Connect to Ray, or start it, without a word: it greets on the terminal itself, whatever it is told."""
    ray = quiet_ray()
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        ray.init(**options, logging_level=logging.CRITICAL, log_to_driver=False)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def quiet_ray() -> Any:
    """Return the module, as quiet as it can be.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", module=r"ray(\.|$)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("ray.data")
            return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise MissingExtraError("Ray is not installed. Run `pip install 'embedstore[ray]'`.") from error
