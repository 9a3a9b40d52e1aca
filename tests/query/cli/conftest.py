"""Running the command line inside the test's own process, and a store of random vectors to run it on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import query.cli
from tests.embedstore import make

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHIPS = 60
FIRST = make.chip_id(0)


@dataclass(frozen=True)
class Ran:
    """What a command gave back."""

    code: int
    out: str
    err: str

    def refused(self, *words: str, code: int = 2) -> None:
        """Assert one line of error that holds these words, no data, and the exit code."""
        assert self.code == code, self.err
        assert self.out == ""
        errors = [line for line in self.err.splitlines() if not line.startswith("warning: ")]
        assert len(errors) == 1, self.err
        assert errors[0].startswith("error: ")
        for word in words:
            assert word in errors[0]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            query.cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        assert isinstance(end.value.code, int)
        return Ran(end.value.code, out, err)

    return call


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of random vectors, for tests that only read."""
    path = tmp_path_factory.mktemp("vectors") / "store"
    made = make.store(path)
    made.append(make.chips(list(range(CHIPS // 2)), item="first"))
    made.append(make.chips(list(range(CHIPS // 2, CHIPS)), item="second"))
    return path


@pytest.fixture
def own_vectors(vectors: Path, tmp_path: Path) -> Path:
    """A copy of it, for tests that write."""
    return shutil.copytree(vectors, tmp_path / "vectors")
