"""Approximate search in the inverted lists of one segment."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import DamageError
from embedstore.extras import faiss

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.segment import Segment


_READING = threading.Lock()


@contextmanager
def readable(path: Path) -> Iterator[Any]:
    """Let FAISS read a file, no part of which may say that it is larger than the whole; yields the module.

    Raises
    ------
    DamageError
        If FAISS cannot read it.
    """
    f = faiss()
    with _READING:  # the limit is one for the process
        before = f.get_deserialization_vector_byte_limit()
        try:
            f.set_deserialization_vector_byte_limit(path.stat().st_size + 1)
            yield f
        except OSError as error:
            raise DamageError(f"{path} cannot be read ({error.strerror}). Run `embedstore index`.") from error
        except (RuntimeError, MemoryError, AttributeError, AssertionError) as error:
            said = (str(error).splitlines() or [""])[0][-200:]
            raise DamageError(f"{path} is none of our FAISS files ({said}). Run `embedstore index`.") from error
        finally:
            f.set_deserialization_vector_byte_limit(before)


def read_codebook(path: Path) -> Any:
    """Return the FAISS index of a codebook: a rotation before empty inverted lists.

    Raises
    ------
    DamageError
        If it is none.
    """
    with readable(path) as f:
        # inner products need no table of residuals, which would count towards what the file may say
        index = f.read_index(str(path), f.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
        ivf, chain = f.downcast_index(f.extract_index_ivf(index)), index.chain
        rotation = f.downcast_VectorTransform(chain.at(0)) if chain.size() == 1 else None
        if (
            not isinstance(ivf, (f.IndexIVFPQ, f.IndexIVFRaBitQ))
            or not isinstance(rotation, f.LinearTransform)
            or not index.d == rotation.d_in == rotation.d_out == ivf.d == ivf.quantizer.d
            or ivf.quantizer.ntotal != ivf.nlist
            or rotation.A.size() != rotation.d_in * rotation.d_out
        ):
            raise DamageError(f"{path} is FAISS's, but no codebook. Run `embedstore index`.")
        return index


class Coarse:
    """The codebook of an index: rotation, coarse centroids, quantiser.

    Parameters
    ----------
    path
        A checked ``codebook.faiss``.

    Raises
    ------
    DamageError
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        f = faiss()
        self._index = read_codebook(path)
        self.ivf = f.downcast_index(f.extract_index_ivf(self._index))
        self._rotation = f.downcast_VectorTransform(self._index.chain.at(0))
        shape = self._rotation.d_out, self._rotation.d_in
        self.rotation = f.vector_to_array(self._rotation.A).reshape(shape).T.copy()
        self.centroids = self.ivf.quantizer.reconstruct_n(0, self.ivf.nlist)
        self.lists = int(self.ivf.nlist)

    def rotate(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring unit vectors, shape (n, d), into the codebook's axes."""
        rotated: NDArray[np.float32]
        if len(vectors) == 1:
            rotated = vectors @ self.rotation
        else:  # FAISS keeps to the threads it was given; numpy would wake a team for every part of a batch
            rotated = self._rotation.apply_py(np.ascontiguousarray(vectors, np.float32))
        return rotated

    def nearest(self, rotated: NDArray[np.float32], probes: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the nearest lists of each query and their inner products, shapes (n, probes)."""
        f = faiss()
        shape = len(rotated), probes
        scores, lists = np.empty(shape, np.float32), np.empty(shape, np.int64)
        self.ivf.quantizer.search_c(
            len(rotated), f.swig_ptr(rotated), probes, f.swig_ptr(scores), f.swig_ptr(lists), None
        )
        return lists, scores

    def holding(
        self, rotated: NDArray[np.float32], counts: NDArray[np.int64], enough: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return each query's nearest lists that hold candidates, until enough are in them, shapes (n, p).

        Where a query takes fewer lists than another, -1 fills up.

        Parameters
        ----------
        rotated
            Shape (n, d).
        counts
            Candidates in each list, shape (lists,).
        enough
            How many candidates the lists are to hold together.
        """
        held = np.flatnonzero(counts)
        # to gather centroids costs as much as to score as many again
        some = 2 * len(held) < self.lists
        scores = rotated @ (self.centroids[held] if some else self.centroids).T
        if not some:
            scores = scores[:, held]
        order = np.argsort(-scores, axis=1)
        before = np.cumsum(counts[held][order], axis=1)
        reached = (before < enough).sum(axis=1) + 1
        width = int(min(reached.max(), len(held)))
        order = order[:, :width]
        lists = held[order]
        lists[np.arange(width) >= reached[:, None]] = -1
        return lists, np.take_along_axis(scores, order, axis=1)


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
        with readable(self._blocks.path):
            inverted = f.read_InvertedLists(f.FileIOReader(str(self._blocks.path)), f.IO_FLAG_MMAP)
        if inverted.nlist != coarse.lists or inverted.code_size != code:
            raise DamageError(f"{self._blocks.path} is not of the live codebook. Run `embedstore index`.")
        self.sizes = np.array([inverted.list_size(i) for i in range(coarse.lists)], np.int64)
        ends = head + np.cumsum(self.sizes) * entry
        self._starts, self._ends = ends - self.sizes * entry, ends
        self._unchecked = self.sizes > 0
        self._left = int(self._unchecked.sum())
        self._params: dict[int, Any] = {}
        self._index = _with_lists(coarse, inverted, segment.rows)

    def counts(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many of some rows are in each list, shape (lists,)."""
        return np.bincount(self._segment.list_of_row(rows), minlength=self._coarse.lists)

    def search(
        self,
        rotated: NDArray[np.float32],
        lists: NDArray[np.int64],
        list_scores: NDArray[np.float32],
        k: int,
        allowed: Any = None,
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
            Selector of the rows that may answer (:attr:`embedstore.candidates.Candidates.selector`); all if None.

        Returns
        -------
        int64, shape (n, k).
        """
        f = faiss()
        self._check(lists)
        shape, probes = (len(rotated), k), lists.shape[1]
        scores, rows = np.empty(shape, np.float32), np.empty(shape, np.int64)
        if allowed is not None:
            params = f.SearchParametersIVF(nprobe=probes, sel=allowed)
        else:
            params = self._params.get(probes)
            if params is None:
                params = self._params[probes] = f.SearchParametersIVF(nprobe=probes)
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
        """Make sure of lists; -1, which pads, stands for the last one."""
        if not self._left:
            return
        fresh = lists[self._unchecked[lists]]
        if len(fresh):
            for i in np.unique(fresh).tolist():
                self._blocks.check(int(self._starts[i]), int(self._ends[i]))
                self._unchecked[i] = False
            self._left = int(self._unchecked.sum())


def _with_lists(coarse: Coarse, inverted: Any, rows: int) -> Any:
    """Make an IVF index that shares the codebook's centroids and quantiser and owns these lists."""
    f = faiss()
    of = coarse.ivf
    if isinstance(of, f.IndexIVFPQ):
        index = f.IndexIVFPQ(of.quantizer, of.d, of.nlist, of.pq.M, of.pq.nbits, f.METRIC_INNER_PRODUCT)
        index.pq = of.pq
    else:
        bits = of.rabitq.nb_bits
        index = f.IndexIVFRaBitQ(of.quantizer, of.d, of.nlist, f.METRIC_INNER_PRODUCT, True, bits)
        index.rabitq, index.qb = of.rabitq, of.qb
    index.by_residual = of.by_residual
    index.is_trained = True
    index.replace_invlists(inverted, True)
    inverted.this.disown()
    index.ntotal = rows
    return index
