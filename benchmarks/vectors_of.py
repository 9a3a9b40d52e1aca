"""Vectors of chips by any encoder, worked out once and kept.

What is kept is named by the encoder's fingerprint (its weights, fitted to the chips) and the digest of the chips;
delete the folder after a change to an encoder's code.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import benchmarks.band_statistics  # noqa: F401 - registers itself
from embedstore.sealed import write_bytes
from embedstore.spec import digest
from indexer.encoders import registry
from indexer.encoders.base import unit
from indexer.sample import CHIPS, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.tasks.task import Chips, Task

CACHE = Path("benchmarks/data/vectors")
BATCH = 64
GSD = 10.0
"""Metres to a pixel that every encoder is told, whatever the chips have: encoders refuse scenes much finer or coarser
than what they were trained on, and how they do there is what is measured."""


def vectors_of(name: str, chips: Chips, fitted_on: NDArray[np.int64], cache: Path = CACHE) -> NDArray[np.float32]:
    """Return unit vectors of chips, shape (n, d), by an encoder made from some of them.

    An encoder that was trained on certain bands gets those of them that the chips have, as `embedstore encode` does.

    Parameters
    ----------
    name
        Of the encoder, in the registry.
    chips
        What to encode.
    fitted_on
        Positions of the chips, without labels, that the encoder may learn its bands from; at most 256 are drawn.
    cache
        Folder of what is kept.

    Raises
    ------
    EncoderError, BandError
        If there is no such encoder, or it does not take such chips.
    """
    trained_on = ([b for b in known if b in chips.bands] for known in registry.modalities(name).values())
    chips = chips.select(next(filter(None, trained_on), chips.bands))
    with tempfile.TemporaryDirectory() as folder:
        spec = registry.make(name, sample(chips, fitted_on), Path(folder))
        kept = cache / f"{digest([spec.fingerprint, chips.digest])}.npy"
        if kept.is_file():
            return np.load(kept)  # type: ignore[no-any-return]
        encoder = registry.load(Path(folder), spec, "auto")
        found = []
        for start in range(0, len(chips), BATCH):
            some = slice(start, start + BATCH)
            valid = np.ascontiguousarray(chips.valid[some])
            batch = np.where(valid[:, None], chips.pixels[some], 0).astype(np.float32)
            found.append(encoder.encode({spec.modalities[0].name: batch}, valid))
    vectors = np.concatenate(found)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as file:
        np.save(file, vectors)
        file.seek(0)
        write_bytes(kept, file.read())
    return vectors


def together(name: str, task: Task, cache: Path = CACHE) -> NDArray[np.float32]:
    """Return one unit vector of each chip of a task, shape (n, d): of its one sensor, or of all of them.

    Encoders that were trained to bring sensors together give the mean of the sensors' vectors, as their stores hold it;
    of others the vectors are laid end to end.

    Raises
    ------
    EncoderError, BandError
        If there is no such encoder, or it does not take such chips.
    """
    return joined(name, [vectors_of(name, c, task.fitted_on, cache) for c in (task.chips, *task.beside)])


def joined(name: str, vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return one unit vector for the vectors of several sensors, as :func:`together` does."""
    if len(vectors) == 1:
        return vectors[0]
    both = np.sum(vectors, axis=0) if aligned(name) else np.concatenate(vectors, axis=1)
    return unit(both, name)


def aligned(name: str) -> bool:
    """Tell whether an encoder was trained to bring several sensors together."""
    return len(registry.modalities(name)) > 1


def sample(chips: Chips, fitted_on: NDArray[np.int64]) -> Sample:
    """Return some of the chips to make an encoder from."""
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(fitted_on, min(CHIPS, len(fitted_on)), replace=False))
    valid = np.ascontiguousarray(chips.valid[drawn])
    return Sample(chips.bands, np.where(valid[:, None], chips.pixels[drawn], 0).astype(np.float32), valid, GSD)
