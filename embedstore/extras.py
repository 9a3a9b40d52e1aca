"""Libraries that come by extra: imported when first needed, with a message that says how to get them."""

from __future__ import annotations

import importlib
from functools import cache
from importlib import metadata
from typing import Any

from embedstore.errors import MissingExtraError

GPU_BUILDS = ("faiss-gpu-cuvs", "faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cu11")
"""Distributions that hold FAISS built for CUDA. All of them, and `faiss-cpu`, write the same folder."""


@cache
def faiss() -> Any:
    """Return the FAISS module.

    Raises
    ------
    MissingExtraError
        If no build of FAISS is installed, or two that overwrite each other, or one that cannot be loaded.
    """
    cpu = _installed("faiss-cpu")
    gpu = [name for name in GPU_BUILDS if _installed(name)]
    if len(gpu) + cpu > 1:
        both = [*(["faiss-cpu"] if cpu else []), *gpu]
        raise MissingExtraError(
            f"{' and '.join(both)} are installed together, and each overwrites the other's files. "
            f"Run `pip uninstall -y {' '.join(both)}`, then `pip install 'embedstore[cpu]'` or 'embedstore[gpu]'."
        )
    try:
        return importlib.import_module("faiss")
    except ModuleNotFoundError as error:
        if error.name != "faiss":
            raise
        raise MissingExtraError(
            "FAISS is not installed. Run `pip install 'embedstore[cpu]'`, or 'embedstore[gpu]' with an NVIDIA GPU."
        ) from error
    except ImportError as error:
        raise MissingExtraError(
            f"FAISS is installed ({', '.join(gpu) or 'faiss-cpu'}) but cannot be loaded: {error}. Without CUDA, "
            "uninstall it and run `pip install 'embedstore[cpu]'`."
        ) from error


def _installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
