"""Every limit of the service and every switch, in one place; docs/service.md explains each."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from embedstore.cores import cores
from embedstore.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

STATEMENTS = 2
"""SQL statements that run at once; each collection has as many workers for them."""
PREFIX = "EMBEDSTORE_"
"""Of the environment variables that set a limit, like EMBEDSTORE_MAX_K."""


def _jobs_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "embedstore" / "jobs"


def _threads() -> int:
    return max(2, min(8, cores()))


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service allows.

    Parameters
    ----------
    key_file
        Who may ask; see :mod:`query.api.keys`. Nobody is asked for a key if None.
    cors_origins
        Origins of other web sites that browsers may call from.
    threads, heavy_threads
        Quick questions that are worked on at once, and those that look at every chip; the others wait. As many as there
        are cores, but from two to eight, and half as many: where Python holds its lock, more make each other late.
    max_in_flight
        Requests that may wait or be worked on; more are told to come again.
    request_seconds
        From a request's arrival until its answer begins; then the work is stopped.
    stop_seconds
        For which requests in flight are waited for when the service is told to end.
    max_body_bytes, max_upload_bytes
        Of a request as JSON, and of one with a file.
    max_upload_pixels, max_upload_bands, max_upload_decoded_bytes
        Of an uploaded raster: width times height, bands, and bytes once decoded.
    max_k, max_examples, max_vertices, max_cells, max_labels
        Hits of a search; examples for or against; corners of a polygon; H3 cells of a filter; labels of a
        classification, and chips that it names one by one.
    max_explained
        Chips that are explained at once.
    max_page
        Items of a page.
    max_heat_cells
        Cells of a heat map.
    max_tile_features
        Features of a vector tile; where there would be more, they are summed up by H3 cell.
    sync_chips
        Chips that are classified while the client waits; more become a job.
    sql_seconds, sql_memory_mb, sql_rows, sql_answer_mb
        Of one SQL statement.
    cache_mb, tile_cache_mb
        Memory of each store for what was read from its table's files, and for vector tiles.
    refresh_seconds
        How often a store is looked at for a new version.
    jobs_folder
        Where jobs are kept.
    jobs_at_once, max_jobs, job_hours
        Jobs that run together; jobs that are kept; hours for which a finished one is kept.
    """

    key_file: Path | None = None
    cors_origins: tuple[str, ...] = ()
    threads: int = field(default_factory=_threads)
    heavy_threads: int = field(default_factory=lambda: _threads() // 2)
    max_in_flight: int = 1_000
    request_seconds: float = 60.0
    stop_seconds: float = 30.0
    max_body_bytes: int = 4 << 20
    max_upload_bytes: int = 64 << 20
    max_upload_pixels: int = 1 << 24
    max_upload_bands: int = 64
    max_upload_decoded_bytes: int = 512 << 20
    max_k: int = 1_000
    max_examples: int = 1_000
    max_vertices: int = 20_000
    max_cells: int = 10_000
    max_labels: int = 20_000
    max_explained: int = 100
    max_page: int = 1_000
    max_heat_cells: int = 50_000
    max_tile_features: int = 5_000
    sync_chips: int = 20_000
    sql_seconds: float = 10.0
    sql_memory_mb: int = 1_024
    sql_rows: int = 10_000
    sql_answer_mb: int = 128
    cache_mb: int = 256
    tile_cache_mb: int = 64
    refresh_seconds: float = 10.0
    jobs_folder: Path = field(default_factory=_jobs_folder)
    jobs_at_once: int = 1
    max_jobs: int = 100
    job_hours: float = 168.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, (int, float)) and not value > 0:
                raise SpecError(f"the setting {one.name} = {value!r} makes no sense; it must be above 0.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **given: Any) -> Self:
        """Read settings from variables like EMBEDSTORE_MAX_K.

        Parameters
        ----------
        environment
            Usually :data:`os.environ`.
        given
            Settings that are known already.

        Raises
        ------
        SpecError
            If a value is not of the setting's type, or out of range.
        """
        values = dict(given)
        for one in fields(cls):
            text = environment.get(PREFIX + one.name.upper())
            if text is not None and one.name not in given:
                values[one.name] = _read(one.name, str(one.type), text)
        return cls(**values)


def _read(name: str, type_: str, text: str) -> Any:
    try:
        if type_ == "int":
            return int(text)
        if type_ == "float":
            return float(text)
    except ValueError:
        raise SpecError(f"{PREFIX}{name.upper()} = {text!r} is no number; give one, or leave it out.") from None
    return Path(text) if type_.startswith("Path") else tuple(part.strip() for part in text.split(",") if part.strip())
