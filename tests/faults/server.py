"""A process that forks: everything is imported once, and each trial is a child that a fault may kill.

``LD_PRELOAD=shim.so python -m tests.faults.server``; one trial a line in, what came of it a line out, as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from embedstore.errors import EmbedstoreError
from tests.faults.operations import OPERATIONS

DONE, REFUSED, CRASHED = 0, 3, 4
PATIENCE = 120.0
"""Seconds after which a trial hangs."""


def child(shim: ctypes.CDLL, trial: dict[str, Any], note: Path) -> None:
    """Do an operation under a fault, and end without a word to this process's own threads and files."""
    code, said = CRASHED, ""
    try:
        warnings.simplefilter("ignore")
        fault = trial["fault"]
        shim.fault_arm(
            trial["path"].encode(),
            fault["category"],
            fault["kind"],
            ctypes.c_long(fault["at"]),
            fault["error"],
            fault["lasting"],
        )
        OPERATIONS[trial["operation"]].run(Path(trial["path"]))
        code = DONE
    except EmbedstoreError as error:
        code, said = REFUSED, f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - whatever it is, it is told
        said = traceback.format_exc()
    finally:
        note.write_text(said)
        os._exit(code)


def wait(pid: int) -> str:
    """Return how a child ended; one that hangs is killed."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if os.WIFSIGNALED(status):
                return "killed" if os.WTERMSIG(status) == signal.SIGKILL else f"signal {os.WTERMSIG(status)}"
            return {DONE: "done", REFUSED: "refused"}.get(os.WEXITSTATUS(status), "crashed")
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hung"


def main() -> None:
    """Answer until the end of the input."""
    shim = ctypes.CDLL(None)
    shim.fault_calls.restype = ctypes.c_long
    import torch

    import indexer.encode
    import indexer.encoders.rcf  # noqa: F401 - imported before the first fork, once

    torch.set_num_threads(1)  # a forked child has no others

    for line in sys.stdin:
        trial = json.loads(line)
        note = Path(trial["note"])
        note.unlink(missing_ok=True)
        pid = os.fork()
        if not pid:
            child(shim, trial, note)
        end = wait(pid)
        said = note.read_text() if note.exists() else ""
        sys.stdout.write(json.dumps({"end": end, "said": said, "calls": shim.fault_calls()}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
