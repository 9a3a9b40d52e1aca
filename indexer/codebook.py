"""Training a codebook and filling inverted lists, with FAISS on CPU or GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import EncoderError, InputError, storage_errors
from embedstore.extras import faiss
from embedstore.lists import read_codebook

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.piece import Piece
    from embedstore.snapshot import Snapshot
    from embedstore.spec import IndexSpec

SEED = 20
TRAIN_PER_LIST = 48
"""Training vectors for each list: FAISS warns below 39."""
ROTATION_ROWS = 16_384
"""Training vectors for the rotation, which is the slow part."""
ROTATION_ROUNDS = 12
QUERY_BITS = 6
"""To which RaBitQ rounds each dimension of a query."""
HELD_BACK = 10
"""One in so many vectors of the sample tells how well the codebook fits what it was not trained on."""
ERROR_ROWS = 10_000
"""Vectors of new rows on which the same is measured: the mean is then known to a hundredth."""
CHUNK = 1 << 16


def resolve_device(device: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    InputError
        If the name is another.
    EncoderError
        If CUDA is asked for and this FAISS or this machine has none.
    """
    if device not in {"auto", "cpu", "cuda"}:
        raise InputError(f"device {device!r} is not known; give auto, cpu or cuda.")
    gpus = getattr(faiss(), "get_num_gpus", lambda: 0)()
    if device == "cuda" and not gpus:
        raise EncoderError("device 'cuda' was asked for, but FAISS sees no GPU; install 'embedstore[gpu]' or use cpu.")
    return "cuda" if gpus and device != "cpu" else "cpu"


def train(
    snapshot: Snapshot, spec: IndexSpec, path: Path, device: str, coarser: Path | None = None
) -> tuple[int, float]:
    """Train a codebook on a seeded sample of the snapshot, and write it.

    Parameters
    ----------
    coarser
        A codebook of fewer bits whose rotation and lists are taken over.

    Returns
    -------
    Its number of lists, and its quantisation error (see :func:`error`) on vectors that it was not trained on.
    """
    f = faiss()
    index = f.index_factory(snapshot.encoder.dimension, spec.factory, f.METRIC_INNER_PRODUCT)
    ivf = f.downcast_index(f.extract_index_ivf(index))
    ivf.cp.seed = SEED
    ivf.cp.min_points_per_centroid = 1
    rotation = f.downcast_VectorTransform(index.chain.at(0))
    if isinstance(ivf, f.IndexIVFPQ):
        ivf.pq.cp.seed = SEED
        rotation.niter, rotation.niter_pq = ROTATION_ROUNDS, 4
        rotation.max_train_points = ROTATION_ROWS
    else:
        ivf.qb = QUERY_BITS
    if coarser is not None:
        old = read_codebook(coarser)
        f.copy_array_to_vector(f.vector_to_array(f.downcast_VectorTransform(old.chain.at(0)).A), rotation.A)
        rotation.set_is_orthonormal()
        rotation.is_trained = True
        centroids = f.downcast_index(f.extract_index_ivf(old)).quantizer.reconstruct_n(0, ivf.nlist)
        ivf.quantizer.add(centroids)  # FAISS trains no quantiser that is full
    if device == "cuda":
        ivf.clustering_index = f.index_cpu_to_all_gpus(f.IndexFlatIP(ivf.d))
    vectors = sample(snapshot.pieces, max(TRAIN_PER_LIST * ivf.nlist, ROTATION_ROWS))
    held_back = np.arange(len(vectors)) % HELD_BACK == 0
    index.train(vectors[~held_back])
    with storage_errors("write the codebook", path):
        f.write_index(index, str(path))
    return int(ivf.nlist), _error(index, vectors[held_back])


def sample(pieces: Sequence[Piece], count: int) -> NDArray[np.float32]:
    """Return a seeded random sample of the vectors of some pieces, shape (about count at most, d)."""
    rng = np.random.default_rng(SEED)
    share = min(1.0, count / max(1, sum(piece.count for piece in pieces)))
    parts = []
    for piece in pieces:
        rows = piece.live_rows()
        chosen = np.sort(rng.choice(rows, min(len(rows), round(share * len(rows))), replace=False))
        parts.append(piece.segment.take_vectors(chosen).astype(np.float32))
    return np.concatenate(parts)


def error(codebook: Path, pieces: Sequence[Piece]) -> float:
    """Return the mean squared distance between unit vectors of some pieces and what their codes stand for."""
    return _error(read_codebook(codebook), sample(pieces, ERROR_ROWS))


def _error(index: Any, vectors: NDArray[np.float32]) -> float:
    decoded = index.sa_decode(index.sa_encode(vectors))
    return float(((vectors - decoded) ** 2).sum(axis=1).mean())


def fill(codebook: Path, folder: Path, rows: int, device: str) -> None:
    """Write ``lists.faiss`` of a segment in the making, and ``list_of_row.i32`` if it is not there yet."""
    f = faiss()
    index = read_codebook(codebook)
    ivf = f.downcast_index(f.extract_index_ivf(index))
    quantizer: Any = f.index_cpu_to_all_gpus(ivf.quantizer) if device == "cuda" else ivf.quantizer
    vectors = np.memmap(folder / "vectors.f16", np.float16, "r", shape=(rows, index.d))
    known = folder / "list_of_row.i32"
    lists = np.fromfile(known, np.int32) if known.exists() else None
    assigned_all = np.empty(rows, np.int32) if lists is None else lists
    for start in range(0, rows, CHUNK):
        rotated = index.chain.at(0).apply(vectors[start : start + CHUNK].astype(np.float32))
        stop = start + len(rotated)
        if lists is None:
            assigned_all[start:stop] = quantizer.search(rotated, 1)[1].reshape(-1)
        assigned = assigned_all[start:stop].astype(np.int64)
        ids = np.arange(start, stop, dtype=np.int64)
        ivf.add_core(len(rotated), f.swig_ptr(rotated), f.swig_ptr(ids), f.swig_ptr(assigned))
    with storage_errors("write the index", folder):
        if lists is None:
            assigned_all.tofile(known)
        writer = f.FileIOWriter(str(folder / "lists.faiss"))
        f.write_InvertedLists(ivf.invlists, writer)
        del writer
