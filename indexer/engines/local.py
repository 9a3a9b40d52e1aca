"""Everything in this process: the embedded default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from embedstore.store import Store
from indexer.encoders import registry
from indexer.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from indexer.engines.base import R, T
    from indexer.pipeline import Tally
    from indexer.plan.encode import Outcome
    from indexer.plan.work import WorkUnit
    from indexer.units import Scene


class Local:
    """Work done in this process, whose threads use all of its cores and GPUs; see :class:`.base.Executor`."""

    slots = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(
        self,
        make: Callable[[], Callable[[T], R]],
        items: Iterable[T],
        *,
        cuda: bool = False,  # noqa: ARG002 - there is one worker, and it has everything
        ordered: bool = False,  # noqa: ARG002 - one after the other is in order
    ) -> Iterator[tuple[int, R]]:
        """Do something with every item, one after the other."""
        work = make()
        for position, item in enumerate(items):
            yield position, work(item)

    def encode(
        self, scenes: Sequence[Scene], store: Store, device: str, progress: Callable[[int], None] | None = None
    ) -> Tally:
        """Encode scenes; reading overlaps encoding, also from one scene to the next."""
        encoder = registry.load(store.encoder_folder, store.encoder, device)
        pipeline = Pipeline(scenes, encoder, store, Store.open(store.path))
        pipeline.run(progress or (lambda _: None))
        return pipeline.tally

    def encode_units(
        self, units: Sequence[WorkUnit], store: Store, device: str, progress: Callable[[int], None] | None = None
    ) -> Outcome:
        """Encode the work units of a plan."""
        from indexer.plan import encode as plan  # noqa: PLC0415 - it imports the encoding, which imports the engines

        encoder = registry.load(store.encoder_folder, store.encoder, device)
        return plan.encode_units(units, store, encoder, progress)
