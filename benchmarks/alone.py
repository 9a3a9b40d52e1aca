"""A function of this package in a fresh process, so that its memory and its first steps are its own."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

from benchmarks.peers import memory

LOOK = 0.05
"""Seconds between two looks at the memory."""


def run(function: str, *args: object) -> tuple[dict[str, Any], float]:
    """Call ``module:function`` with arguments as text.

    Returns
    -------
    What it returned, by way of JSON, and the most anonymous memory (RssAnon) that was seen, in 1e9 bytes.
    """
    command = [sys.executable, "-m", "benchmarks.alone", function, *map(str, args)]
    peak = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while True:
            peak = max(peak, memory.resident([process.pid])["anon_gb"])
            try:
                out, _ = process.communicate(timeout=LOOK)
            except subprocess.TimeoutExpired:
                continue
            break
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return dict(json.loads(out.splitlines()[-1])), peak


def main() -> None:
    """Run in the fresh process."""
    module, _, name = sys.argv[1].partition(":")
    print(json.dumps(getattr(importlib.import_module(module), name)(*sys.argv[2:])))


if __name__ == "__main__":
    main()
