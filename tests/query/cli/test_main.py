"""What all commands share: help, errors, interruptions, pipes, and bugs that stay visible."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

import embedstore.store
from embedstore.errors import ConflictError, EmbedstoreError, InputError
from tests.query.cli.conftest import FIRST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran

EMBEDSTORE = [sys.executable, "-c", "from query.cli import main; main()"]


def raising(error: BaseException) -> Callable[..., None]:
    def open_(*_: object) -> None:
        raise error

    return open_


def test_help_is_instant() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        subprocess.run([*EMBEDSTORE, "--help"], check=True, capture_output=True)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.6  # 0.15 s on an idle machine


def test_version(run: Callable[..., Ran]) -> None:
    assert run("--version").out == f"embedstore {metadata.version('embedstore')}\n"


def test_without_a_command_help_is_printed(run: Callable[..., Ran]) -> None:
    ran = run()
    assert "Usage" in ran.out
    assert ran.code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search"], "STORE"),
        (["search", "s", "--nope"], "--nope"),
        (["serch", "s"], "Did you mean 'search'"),
        (["search", "s", "-k", "ten"], "valid integer"),
        (["vacuum", "s", "--grace", "-1"], "grace"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(run: Callable[..., Ran], arguments: list[str], words: str) -> None:
    run(*arguments).refused(words)


@pytest.mark.parametrize(("error", "code"), [(InputError, 2), (ConflictError, 1)])
def test_an_error_on_purpose_is_one_line_with_its_code(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, error: type[EmbedstoreError], code: int
) -> None:
    monkeypatch.setattr(embedstore.store.Store, "open", raising(error("first\nsecond")))
    run("info", "s").refused("error: first second", code=code)


def test_a_bug_keeps_its_traceback(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedstore.store.Store, "open", raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run("info", "s")


def test_ctrl_c_says_how_to_go_on(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedstore.store.Store, "open", raising(KeyboardInterrupt()))
    ran = run("info", "s")
    assert ran.code == 130
    assert len(ran.err.splitlines()) == 1
    assert "same command again" in ran.err


def test_ctrl_c_in_a_real_process(vectors: Path) -> None:
    code = (
        "import embedstore.store, time\n"
        "from query.cli import main\n"
        "embedstore.store.Store.open = lambda *_: print('ready', flush=True) or time.sleep(60)\n"
        f"main(['info', {str(vectors)!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.kill(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert "same command again" in err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_error(vectors: Path, unbuffered: str) -> None:
    with subprocess.Popen(
        [*EMBEDSTORE, "info", str(vectors)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as child:
        assert child.stdout is not None
        child.stdout.close()
        assert child.stderr is not None
        err = child.stderr.read()
        child.wait(timeout=60)
    assert err == ""
    assert child.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [["search", "STORE", "--id", FIRST], ["info", "STORE"], ["verify", "STORE"], ["compact", "STORE"],
     ["vacuum", "STORE"], ["index", "STORE"], ["delete", "STORE", "--item", "x"]],
    ids=lambda a: a[0],
)  # fmt: skip
@pytest.mark.parametrize("place", ["absent", "file", "folder"])
def test_a_place_that_is_no_store(run: Callable[..., Ran], tmp_path: Path, arguments: list[str], place: str) -> None:
    path = tmp_path / "place"
    if place == "file":
        path.write_text("no store")
    elif place == "folder":
        path.mkdir()
    run(*[str(path) if a == "STORE" else a for a in arguments]).refused(str(path), code=1)


def test_a_damaged_index_is_one_line_of_warning_and_the_right_answer(vectors: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(vectors), str(copy)], check=True)
    for file in (copy / "_index" / "segments").rglob("vectors.f16"):
        file.write_bytes(file.read_bytes()[:-2])
    ran = [
        subprocess.run(
            [*EMBEDSTORE, "search", str(store), "--id", FIRST, "-k", "3", "--where", "lon > 0"],
            capture_output=True,
            text=True,
            check=False,
        )
        for store in (vectors, copy)
    ]
    assert ran[0].stdout == ran[1].stdout
    warnings = set(ran[1].stderr.splitlines()) - set(ran[0].stderr.splitlines())
    assert len(warnings) == 1
    assert warnings.pop().startswith("warning: ")
