"""The losses of a run, a line of JSON for each step."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

from embedstore.errors import DamageError, EncoderError, storage_errors
from embedstore.sealed import write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import torch


class Losses:
    """Appends losses to a file, and stops a run that has gone astray.

    A step is looked at when the next one is under way, so that a GPU need not wait for it.

    Parameters
    ----------
    path
        The file; None for a process that does not write.
    step
        Steps done; lines of later ones, which a killed run left, are cut off.

    Raises
    ------
    DamageError
        If lines of earlier steps are missing.
    """

    def __init__(self, path: Path | None, step: int) -> None:
        self.last = math.nan
        self._waiting: tuple[int, float, dict[str, torch.Tensor]] | None = None
        self._file: Any = None
        if path is None:
            return
        kept = path.read_bytes().splitlines(keepends=True)[:step] if path.exists() else []
        if len(kept) < step:
            raise DamageError(f"{path} has {len(kept)} lines for {step} steps; restore it from a copy.")
        with storage_errors("write losses", path):
            write_bytes(path, b"".join(kept))
            self._file = path.open("a", encoding="utf-8")
        if kept:
            self.last = float(json.loads(kept[-1])["loss"])

    def put(self, step: int, rate: float, parts: dict[str, torch.Tensor]) -> None:
        """Add a step, and write the one before.

        Raises
        ------
        EncoderError
            If the loss of the one before is not finite.
        """
        self.flush()
        self._waiting = (step, rate, parts)

    def flush(self) -> None:
        """Write what waits; raises as :meth:`put`."""
        if self._waiting is None:
            return
        step, rate, parts = self._waiting
        self._waiting = None
        values = {name: float(value) for name, value in parts.items()}
        astray = [name for name, value in values.items() if not math.isfinite(value)]
        if astray:
            part = next((name for name in astray if name != "loss"), "loss")
            raise EncoderError(
                f"the loss of step {step} is not finite, in part {part!r} ({values[part]}). Nothing of this step was "
                "kept; look at the data, or begin anew with a lower learning rate."
            )
        self.last = values["loss"]
        if self._file:
            self._file.write(json.dumps({"step": step, "rate": rate, **values}) + "\n")

    def sync(self) -> None:
        """Write what waits, durably; raises as :meth:`put`."""
        self.flush()
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
