from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from query.cli import progress

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_is_a_bar_with_count_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress.chips() as update:
        for done in range(0, 1001, 100):
            update(done, 1000)
    last = screen.getvalue()
    assert "encoding" in last
    assert "1000/1000" in last
    assert "chips/s" in last
    assert "0:00:00" in last


def test_elsewhere_a_short_run_is_silent_and_a_long_one_says_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 10.0, 40.0, 50.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.chips() as update:
        update(10, 100)
        assert capsys.readouterr().err == ""
        update(80, 100)
        update(90, 100)
    ran = capsys.readouterr()
    assert ran.err == "encoded 80 of 100 chips, 2 chips/s\n"
    assert ran.out == ""
