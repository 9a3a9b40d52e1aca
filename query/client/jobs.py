"""A job of the service, seen from afar."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstore.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from query.client.transport import Transport

PAUSE = 0.5
"""Seconds between two looks at a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """A classification that the service works on.

    Parameters
    ----------
    id
        Its id.
    transport
        Where to ask.
    """

    id: str
    transport: Transport

    def status(self) -> dict[str, Any]:
        """Return how it stands: status, progress (0 to 1), message, and a summary once it is done."""
        found: dict[str, Any] = self.transport.json("GET", f"/jobs/{self.id}")
        return found

    def wait(self, progress: Callable[[float], None] | None = None) -> dict[str, Any]:
        """Return the summary once it is done.

        Parameters
        ----------
        progress
            Called with the share that is done.

        Raises
        ------
        StoreError
            If it failed.
        """
        while True:
            found = self.status()
            if progress:
                progress(found["progress"])
            if found["status"] == "failed":
                raise StoreError(f"the job {self.id} failed: {found['message']}")
            if found["status"] == "done":
                summary: dict[str, Any] = found["summary"]
                return summary
            time.sleep(PAUSE)

    def save(self, path: str | Path) -> None:
        """Write the result, GeoParquet, to a file."""
        self.transport.download(f"/jobs/{self.id}/result", Path(path))

    def delete(self) -> None:
        """Cancel it, or take its result away."""
        self.transport.ask("DELETE", f"/jobs/{self.id}")
