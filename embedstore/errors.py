"""Every error the project raises on purpose.

    EmbedstoreError
    ├── InputError                what was asked cannot be done as asked
    │   ├── RasterError           a scene or chip that cannot be read
    │   ├── BandError             a band that is not there, or a wrong count of bands
    │   ├── GeometryError         a polygon, box, position or CRS that makes no sense
    │   ├── FilterError           a filter that cannot be understood
    │   ├── QueryError            a query vector, k or recall that cannot be served
    │   ├── EmbeddingsError       a file of embeddings that cannot be imported
    │   ├── PlanError             a catalogue or a plan that cannot be used
    │   ├── LabelError            labels that cannot be read, or that teach nothing
    │   ├── SqlError              a statement that does not parse, is refused, or fails
    │   ├── UnknownIdError        an id that the store does not hold
    │   └── SpecError             a specification that contradicts itself
    ├── EncoderError              an encoder that cannot be made or loaded
    │   ├── AbsentModelError      a model that made imported vectors, and is not here
    │   └── EncoderMismatchError  vectors of different making, which are never compared
    ├── StoreError                a store that cannot serve
    │   ├── NotAStoreError        no store at this place
    │   ├── StoreExistsError      there is one already
    │   ├── ConflictError         another writer came first, again and again
    │   ├── DamageError           bytes that are not what was written
    │   └── StorageError          the disk refused (full, read-only, no permission)
    ├── LimitError                more time, memory, rows or bytes than are allowed
    └── MissingExtraError         an optional library is absent, or two exclude each other

Each message says what was wrong, where, and what to do. ``exit_code`` is what the command line returns.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class EmbedstoreError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 1


class InputError(EmbedstoreError):
    """What was asked cannot be done as asked."""

    exit_code = 2


class RasterError(InputError):
    """A scene or chip cannot be read."""


class BandError(InputError):
    """A band is not there, or the count of bands is wrong."""


class GeometryError(InputError):
    """A polygon, box, position or CRS makes no sense."""


class FilterError(InputError):
    """A filter cannot be understood."""


class QueryError(InputError):
    """A query vector, k or recall cannot be served."""


class EmbeddingsError(InputError):
    """A file of embeddings cannot be imported."""


class PlanError(InputError):
    """A catalogue or a plan cannot be used."""


class LabelError(InputError):
    """Labels cannot be read, or teach nothing."""


class SqlError(InputError):
    """A statement does not parse, is refused, or fails."""


class UnknownIdError(InputError):
    """The store does not hold this id."""


class SpecError(InputError):
    """A specification contradicts itself."""


class EncoderError(EmbedstoreError):
    """An encoder cannot be made or loaded."""


class AbsentModelError(EncoderError):
    """The model that made imported vectors is not here."""


class EncoderMismatchError(EncoderError):
    """Vectors of different making would be compared."""


class StoreError(EmbedstoreError):
    """A store cannot serve."""


class NotAStoreError(StoreError):
    """There is no store at this place."""


class StoreExistsError(StoreError):
    """There is a store at this place already."""


class ConflictError(StoreError):
    """Another writer came first, again and again."""


class DamageError(StoreError):
    """Bytes are not what was written."""


class StorageError(StoreError):
    """The disk refused: full, read-only, or no permission."""


class LimitError(EmbedstoreError):
    """More time, memory, rows or bytes than are allowed."""


class MissingExtraError(EmbedstoreError):
    """An optional library is absent, or two of them exclude each other."""


@contextmanager
def storage_errors(doing: str, where: Path | str) -> Iterator[None]:
    """Turn the operating system's refusals into one :class:`StorageError` that says what was being done.

    Parameters
    ----------
    doing
        What was tried, as it reads after "could not" ("write the index").
    where
        The path concerned.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"could not {doing} at {where}: {reason}. Nothing committed was changed; free the disk or fix "
            "the permissions and run the same command again."
        ) from error
