"""Approximate search in the inverted lists of one segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import DamageError
from embedstore.extras import faiss

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.segment import Segment


class Coarse:
    """The codebook of an index: rotation, coarse centroids, product quantiser.

    Parameters
    ----------
    path
        A checked ``codebook.faiss``.
    """

    def __init__(self, path: Path) -> None:
        f = faiss()
        self._index = f.read_index(str(path))
        self.ivf = f.downcast_index(f.extract_index_ivf(self._index))
        rotation = f.downcast_VectorTransform(self._index.chain.at(0))
        self.rotation = f.vector_to_array(rotation.A).reshape(rotation.d_out, rotation.d_in).T.copy()
        self.centroids = self.ivf.quantizer.reconstruct_n(0, self.ivf.nlist)
        self.lists = int(self.ivf.nlist)

    def rotate(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring unit vectors, shape (n, d), into the codebook's axes."""
        rotated: NDArray[np.float32] = vectors @ self.rotation
        return rotated

    def nearest(self, rotated: NDArray[np.float32], probes: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the nearest lists of each query and their inner products, shapes (n, probes)."""
        scores, lists = self.ivf.quantizer.search(rotated, probes)
        return lists, scores


class Lists:
    """The inverted lists of a segment, memory-mapped; each list is checked when it is first probed.

    Raises
    ------
    DamageError
        If the file's head is damaged, or is not of the codebook given.
    """

    def __init__(self, segment: Segment, coarse: Coarse) -> None:
        f = faiss()
        self._segment, self._coarse = segment, coarse
        self._blocks = segment.blocks["lists.faiss"]
        code = int(coarse.ivf.code_size)
        entry = code + 8
        head = len(self._blocks.bytes) - segment.rows * entry
        self._blocks.check(0, max(head, 0))  # FAISS believes sizes and offsets blindly
        try:
            inverted = f.read_InvertedLists(f.FileIOReader(str(self._blocks.path)), f.IO_FLAG_MMAP)
        except RuntimeError as error:
            raise DamageError(f"{self._blocks.path} cannot be read. Run `embedstore index`.") from error
        if inverted.nlist != coarse.lists or inverted.code_size != code:
            raise DamageError(f"{self._blocks.path} is not of the live codebook. Run `embedstore index`.")
        self.sizes = np.array([inverted.list_size(i) for i in range(coarse.lists)], np.int64)
        ends = head + np.cumsum(self.sizes) * entry
        self._starts, self._ends = ends - self.sizes * entry, ends
        self._unchecked = self.sizes > 0
        self._index = _with_lists(coarse, inverted, segment.rows)

    def search(
        self,
        rotated: NDArray[np.float32],
        lists: NDArray[np.int64],
        list_scores: NDArray[np.float32],
        k: int,
        allowed: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.int64]:
        """Return the k rows whose codes score best in the lists given, -1 where there are fewer.

        Parameters
        ----------
        rotated
            Rotated queries, shape (n, d).
        lists, list_scores
            Lists to probe and their inner products, shape (n, p); -1 pads.
        k
            How many.
        allowed
            Bit map of rows that may answer; all if None.
        """
        f = faiss()
        self._check(lists)
        scores, rows = np.empty((len(rotated), k), np.float32), np.empty((len(rotated), k), np.int64)
        params = f.SearchParametersIVF(nprobe=lists.shape[1])
        if allowed is not None:
            selector = f.IDSelectorBitmap(len(allowed) * 8, f.swig_ptr(allowed))
            params.sel = selector
        self._index.search_preassigned_c(
            len(rotated),
            f.swig_ptr(rotated),
            k,
            f.swig_ptr(lists),
            f.swig_ptr(list_scores),
            f.swig_ptr(scores),
            f.swig_ptr(rows),
            False,
            params,
        )
        return rows

    def _check(self, lists: NDArray[np.int64]) -> None:
        probed = lists[lists >= 0]
        fresh = probed[self._unchecked[probed]]
        for i in np.unique(fresh).tolist():
            self._blocks.check(int(self._starts[i]), int(self._ends[i]))
            self._unchecked[i] = False


def _with_lists(coarse: Coarse, inverted: Any, rows: int) -> Any:
    """Make an IVF index that shares the codebook's centroids and quantiser and owns these lists."""
    f = faiss()
    of = coarse.ivf
    index = f.IndexIVFPQ(of.quantizer, of.d, of.nlist, of.pq.M, of.pq.nbits, f.METRIC_INNER_PRODUCT)
    index.pq = of.pq
    index.by_residual = of.by_residual
    index.is_trained = True
    index.replace_invlists(inverted, True)
    inverted.this.disown()
    index.ntotal = rows
    return index
