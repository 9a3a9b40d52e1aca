"""Trials: an operation, a fault at one of its calls, and what must hold afterwards."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest

from embedstore.errors import NotAStoreError
from embedstore.geoparquet import read_part
from embedstore.store import Store
from query import Engine
from tests.faults.operations import OPERATIONS, Operation, copy

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANGES, READS = 1, 2
COUNT, KILL, TEAR, FAIL, SHORTEN = range(5)


@dataclass(frozen=True)
class Fault:
    """What happens at which call; see ``shim.c``."""

    name: str
    category: int
    kind: int
    error: int = 0
    lasting: bool = False
    at: int = 0

    def __str__(self) -> str:
        return f"{self.name} at call {self.at}"


FAULTS = (
    Fault("killed", CHANGES, KILL),
    Fault("killed halfway", CHANGES, TEAR),
    Fault("input/output error", CHANGES, FAIL, errno.EIO),
    Fault("disk full from then on", CHANGES, FAIL, errno.ENOSPC, lasting=True),
    Fault("read-only from then on", CHANGES, FAIL, errno.EROFS, lasting=True),
    Fault("short write", CHANGES, SHORTEN),
    Fault("short read", READS, SHORTEN),
    Fault("input/output error on reading", READS, FAIL, errno.EIO),
)
NO_FAULT = Fault("none", CHANGES, COUNT)


class Forks:
    """The process in which trials are done."""

    def __init__(self, folder: Path) -> None:
        shim = folder / "shim.so"
        source = Path(__file__).with_name("shim.c")
        compiled = subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"], check=False, capture_output=True
        )
        assert not compiled.returncode, compiled.stderr.decode()
        environment = os.environ | {"LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._note = folder / "note"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, operation: str, path: Path, fault: Fault = NO_FAULT) -> dict[str, Any]:
        """Do an operation under a fault; return how it ended, what it said and how many calls there were."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        trial = {"operation": operation, "path": str(path), "fault": asdict(fault), "note": str(self._note)}
        self._process.stdin.write(json.dumps(trial) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@dataclass
class Bench:
    """An operation, the store that it is done to, and what the store holds before and after."""

    forks: Forks
    name: str
    folder: Path

    def __post_init__(self) -> None:
        self.template = self.folder / "template"
        self.template.mkdir(parents=True)
        self.operation.prepare(self.template / "store")
        self.old = held(self.template / "store")
        whole = copy(self.template, self.folder / "whole")
        assert self.forks.run(self.name, whole)["end"] == "done"
        self.new = held(whole)

    @property
    def operation(self) -> Operation:
        """What is done."""
        return OPERATIONS[self.name]

    @cached_property
    def calls(self) -> dict[int, int]:
        """How many calls of each category it makes."""
        out = {}
        for category in (CHANGES, READS):
            path = copy(self.template, self.folder / "counted")
            out[category] = self.forks.run(self.name, path, Fault("count", category, COUNT))["calls"]
        return out

    def trials(self) -> Iterator[Fault]:
        """Yield each fault at each call."""
        for fault in FAULTS:
            for at in range(1, self.calls[fault.category] + 1):
                yield Fault(**{**asdict(fault), "at": at})

    def try_out(self, fault: Fault) -> str:
        """Do it under a fault, check the store, do it again, and check that all is as if nothing had happened."""
        path = copy(self.template, self.folder / "tried")
        what = f"{self.name}, {fault}"
        first = self.forks.run(self.name, path, fault)
        assert first["end"] in ("done", "refused", "killed"), f"{what}: {first}"
        assert "\n" not in first["said"], f"{what}: {first}"
        found = check(path, what)
        if first["end"] == "done":
            assert found == self.new, f"{what}: it said that it was done"
        elif self.operation.in_steps:
            assert self.old <= found <= self.new, what
        else:
            assert found in (self.old, self.new), what
        again = self.forks.run(self.name, path)
        assert again["end"] == "done", f"{what}, then again: {again}"
        assert check(path, f"{what}, then again") == self.new
        Store.open(path).vacuum(grace_hours=0)
        assert check(path, f"{what}, again, vacuum") == self.new
        assert Store.open(path).verify() == [], what
        assert litter(path) == [], what
        return str(first["end"])


def held(path: Path) -> frozenset[str]:
    """Return the ids that the table holds, each once."""
    try:
        store = Store.open(path)
    except NotAStoreError:
        return frozenset()
    ids = [i for f in store.table.files() for i in read_part(path / f.path, ["id"])["id"].to_pylist()]
    assert len(ids) == len(set(ids)), "an id twice"
    return frozenset(ids)


def check(path: Path, what: str) -> frozenset[str]:
    """Check that search finds every committed row and no other; return them."""
    ids = held(path)
    if not ids:
        return ids
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a fault may cost what it was done to, never what was there
        engine = Engine(path)
        hits = engine.search(np.ones(engine.store.encoder.dimension), k=len(ids) + 10, recall="exact")
    assert set(hits.ids) == ids, f"{what}: search shows other rows than the table"
    assert hits.to_arrow(geometry=True)["id"].to_pylist() == hits.ids, what
    return ids


def litter(path: Path) -> list[str]:
    """Return the files that nothing names, after a vacuum."""
    named = {f.path for f in Store.open(path).table.files()}
    data = [str(p.relative_to(path)) for p in path.glob("h3_cell=*/*")]
    drafts = [str(p.relative_to(path)) for p in path.rglob("*draft*")]
    return [p for p in data if p not in named] + drafts


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """One process for all trials."""
    with Forks(tmp_path_factory.mktemp("forks")) as it:
        yield it
