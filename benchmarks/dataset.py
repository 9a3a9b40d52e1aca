"""The vectors of every benchmark: made once, kept on disk, mapped into memory.

Vectors are rounded to what a store keeps, so that truth is truth about the stored vectors. Real ones are features of
windows of scenes (:mod:`benchmarks.vectors`), simulated ones a procedural landscape (:mod:`benchmarks.landscape`).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.rows import Rows
from embedstore.errors import SpecError
from embedstore.vectors import round_mantissa, to_unit

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

QUERIES = 4_000
QUERY_SEED = 1_000_003
"""Far from the seeds of the stored places."""
REAL_DIMENSION = 256
DAY = 86_400_000_000


@dataclass(frozen=True)
class Dataset:
    """What a benchmark searches.

    Parameters
    ----------
    folder
        Where ``rows`` are, for :meth:`benchmarks.peers.rows.Rows.open`.
    rows
        To be stored; mapped, not in memory.
    queries
        To be asked for, with the places, times and attributes that they have of their own.
    title
        Says how many, of what kind.
    """

    folder: Path
    rows: Rows
    queries: Rows
    title: str


def add_arguments(parser: argparse.ArgumentParser, rows: int = 1_000_000) -> None:
    """Let a benchmark be told which vectors to use."""
    parser.add_argument("--rows", type=int, default=rows, help="stored vectors (about so many, if real)")
    parser.add_argument("--dim", type=int, default=REAL_DIMENSION, help="their dimension; 256 if real")
    parser.add_argument("--vectors", choices=("real", "simulated"), default="simulated")
    parser.add_argument("--scenes", type=Path, help="folder of further GeoTIFF scenes for real vectors")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data"), help="where vectors are kept")


def load(args: argparse.Namespace) -> Dataset:
    """Return the vectors that the arguments ask for; they are made if they are not on disk.

    Raises
    ------
    SpecError
        If real vectors are asked for in a dimension that they do not have.
    """
    real = args.vectors == "real"
    if real and args.dim != REAL_DIMENSION:
        raise SpecError(f"--dim {args.dim}: real vectors have {REAL_DIMENSION} dimensions; leave it out.")
    kind = f"real_{args.scenes.name}" if real and args.scenes else args.vectors
    folder = args.data / f"{kind}-{args.rows}-{args.dim}"
    if not folder.is_dir():
        draft = args.data / f".draft-{os.getpid()}-{folder.name}"
        try:
            if real:
                _write_real(draft, args.rows, args.scenes)
            else:
                _write_simulated(draft, args.rows, args.dim)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    rows = Rows.open(folder)
    title = f"{len(rows):,} {args.vectors} vectors of {rows.dimension} dimensions"
    return Dataset(folder, rows, Rows.open(folder / "queries"), title)


def _write_real(folder: Path, rows: int, scenes: Path | None) -> None:
    from benchmarks import vectors

    stored, asked = vectors.real(rows, QUERIES, scenes)
    _as_stored(stored, 1).save(folder)
    _as_stored(asked, 2).save(folder / "queries")


def _write_simulated(folder: Path, rows: int, dimension: int) -> None:
    """Write chunk by chunk, so that ten million rows need no more memory than one chunk."""
    from benchmarks import landscape

    folder.mkdir(parents=True)
    kinds = {"vectors": "f4", "lon": "f8", "lat": "f8", "when": "i8", "share": "f4"}
    files = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", kind, (rows, dimension) if name == "vectors" else (rows,)
        )
        for name, kind in kinds.items()
    }
    start = 0
    for part in landscape.chunks(rows, dimension):
        chunk = _as_stored(part, start)
        at = slice(start, start + len(chunk))
        for name, file in files.items():
            column = getattr(chunk, name)
            file[at] = column.view(np.int64) if name == "when" else column
        start = at.stop
    for file in files.values():
        file.flush()
    _as_stored(landscape.rows(QUERIES, dimension, QUERY_SEED), QUERY_SEED).save(folder / "queries")


def _as_stored(rows: Rows, seed: int) -> Rows:
    """Return rows as a store keeps them, each at a moment of its day: scenes of one day are not of one instant."""
    moment = np.random.default_rng(seed).integers(0, DAY, len(rows)).astype("timedelta64[us]")
    return replace(rows, vectors=_stored(rows.vectors), when=rows.when + moment)


def _stored(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    # Twice: what a store takes in is scaled to unit length and rounded again, and must come out the same.
    return round_mantissa(to_unit(round_mantissa(to_unit(vectors))))
