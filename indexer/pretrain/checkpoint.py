"""Where a run stands, written whole or not at all."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedstore.errors import DamageError, InputError, storage_errors
from embedstore.sealed import write_bytes

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run between two steps.

    All chance follows from the seed and the number of the step, so no state of a generator is kept.

    Parameters
    ----------
    run
        Digest of what the run is.
    step
        Steps done.
    seconds, waited
        Spent so far, over all processes that worked on it one after another, and of them waiting for chips.
    network, optimiser
        Their states.
    """

    run: str
    step: int
    seconds: float
    waited: float
    network: dict[str, Any]
    optimiser: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it durably in the place of the one before.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        import torch  # noqa: PLC0415

        buffer = io.BytesIO()
        torch.save({name: getattr(self, name) for name in self.__slots__}, buffer)
        with storage_errors("write the checkpoint", path):
            write_bytes(path, buffer.getvalue())


def read(path: Path, run: str) -> Checkpoint | None:
    """Read a run's checkpoint; None if there is none yet.

    Raises
    ------
    DamageError
        If the file is not whole.
    InputError
        If it is that of another run.
    """
    import pickle  # noqa: PLC0415 - for its error only

    import torch  # noqa: PLC0415

    if not path.exists():
        return None
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no checkpoint")  # noqa: TRY301 - one way to say it
        held = torch.load(path, map_location="cpu", weights_only=True)
        found = Checkpoint(**held)
    except (OSError, RuntimeError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise DamageError(
            f"the checkpoint {path} is damaged ({reason}). Restore it from a copy, or begin anew in another --out."
        ) from error
    if found.run != run:
        raise InputError(f"the checkpoint {path} is of another run than the folder says; begin anew in another --out.")
    return found
