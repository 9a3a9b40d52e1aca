"""How memory is held while networks run on the CPU.

A forward pass takes and gives back the same few megabytes for every layer of every batch. In the heaps that glibc
makes for threads, it hands much of that back to the kernel each time, which clears it anew: up to a quarter of the
time to encode went there. With one heap for all threads, a twentieth at most. (Fixed thresholds would leave even less,
and make GDAL's decoding twice as slow.)
"""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8
"""Parameter of ``mallopt`` (malloc.h of glibc)."""


def share() -> None:
    """Let threads started from now on share one heap; does nothing where the C library is not glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(M_ARENA_MAX, 1)
