"""What a process and all that it started hold in memory, from Linux's ``/proc``."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

PROC = Path("/proc")
MADV_DONTNEED = 4


def family(pid: int) -> list[int]:
    """Return `pid` and every process under it, parents first; those that are gone are left out."""
    found = [pid]
    for parent in found:
        for task in (PROC / str(parent) / "task").glob("*/children"):
            found += [int(child) for child in _read(task).split()]
    return found


def resident(pids: list[int]) -> dict[str, float]:
    """Return memory in RAM now, summed over processes, in 1e9 bytes.

    ``anon_gb`` is RssAnon and, where processes share buffers, each one's part of them; ``file_gb`` is RssFile, mapped
    files. What a server reads through the page cache without mapping it (PostgreSQL's tables) is in neither.
    """
    anon = file = 0
    for pid in pids:
        status = _read(PROC / str(pid) / "status")
        anon += _kib(status, "RssAnon")
        file += _kib(status, "RssFile")
        if _kib(status, "RssShmem"):
            anon += _kib(_read(PROC / str(pid) / "smaps_rollup"), "Pss_Shmem")
    return {"anon_gb": anon * 1024 / 1e9, "file_gb": file * 1024 / 1e9}


def forget() -> None:
    """Let go of the pages of all shared mappings of files in this process; those that it needs come back when touched.

    What remains resident after that is what the process uses, and not what it once read.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for line in _read(PROC / "self" / "maps").splitlines():
        span, mode, *_, inode = line.split()[:5]
        if mode[3] == "s" and inode != "0":
            start, stop = (int(edge, 16) for edge in span.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), MADV_DONTNEED)


def _kib(text: str, key: str) -> int:
    line = re.search(rf"^{key}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(line[1]) if line else 0


def _read(file: Path) -> str:
    """Return the text, or none if the process has ended meanwhile."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
