"""How memory is held while networks run on the CPU.

A forward pass takes and gives back the same few megabytes for every layer of every batch. Left alone, glibc hands much
of that back to the kernel each time, which clears it anew: between a twentieth and a quarter of the time to encode
went there. With one heap for all threads, blocks of any size from it, and freed memory kept, it is a hundredth.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of ``mallopt`` (malloc.h of glibc)."""
LARGEST = 32 << 20
"""Blocks of up to so many bytes come from the heap; glibc allows no more."""
KEPT = 256 << 20
"""As many free bytes stay at the top of the heap."""


def keep() -> None:
    """Keep freed memory for the next forward pass; does nothing where the C library is not glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(M_ARENA_MAX, 1)
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, KEPT)
