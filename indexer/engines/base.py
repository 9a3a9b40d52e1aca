"""What an engine is: something that does pieces of work, here or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from embedstore.store import Store
    from indexer.pipeline import Tally
    from indexer.plan.encode import Outcome
    from indexer.plan.work import WorkUnit
    from indexer.units import Scene

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """An engine. Made by :func:`indexer.engines.choose`; a ``with`` statement starts and ends it.

    Attributes
    ----------
    slots
        How many workers work at once; known once it has started.
    """

    slots: int

    def __enter__(self) -> Self:
        """Start, or connect to, what it needs."""
        ...

    def __exit__(self, *error: object) -> None:
        """End what was started."""
        ...

    def map(
        self,
        make: Callable[[], Callable[[T], R]],
        items: Iterable[T],
        *,
        cuda: bool = False,
        ordered: bool = False,
    ) -> Iterator[tuple[int, R]]:
        """Do something with every item.

        Parameters
        ----------
        make
            Called once by every worker; returns what is called with each item. On other machines than this it travels
            by pickle, and so do items and results.
        items
            Small descriptions of work. The same item may be done twice, where a worker was lost in the middle, so what
            is done with it must not add up.
        cuda
            Whether a worker needs a GPU.
        ordered
            Whether results must come in the order of the items.

        Yields
        ------
        Position of an item, and its result, as they come. An item that killed its worker again and again is missing.

        Raises
        ------
        The first error that a worker raises.
        """
        ...

    def encode(
        self, scenes: Sequence[Scene], store: Store, device: str, progress: Callable[[int], None] | None = None
    ) -> Tally:
        """Encode and commit what a store does not hold yet of some scenes; a scene that fails gets its `error`.

        Parameters
        ----------
        scenes
            What its encoder can take.
        store
            Where to commit.
        device
            ``cpu``, ``cuda`` or ``auto``.
        progress
            Called now and then with the chips dealt with.

        Raises
        ------
        EncoderError, StoreError
            If the encoder or the store fails.
        """
        ...

    def encode_units(
        self, units: Sequence[WorkUnit], store: Store, device: str, progress: Callable[[int], None] | None = None
    ) -> Outcome:
        """Do the same for the work units of a plan."""
        ...
