from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

from embedstore import extras
from embedstore.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    extras.faiss.cache_clear()
    yield
    extras.faiss.cache_clear()


def pretend_installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def distribution(name: str) -> str:
        if name in names:
            return name
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", distribution)


def failing(error: Exception) -> Callable[[str], Any]:
    def import_module(_: str) -> Any:
        raise error

    return import_module


def test_faiss_is_the_installed_module() -> None:
    faiss = extras.faiss()
    assert faiss.IndexFlatIP(4).d == 4
    assert extras.faiss() is faiss


def test_without_faiss_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch)
    monkeypatch.setattr(importlib, "import_module", failing(ModuleNotFoundError("no faiss", name="faiss")))
    with pytest.raises(MissingExtraError, match=r"pip install 'embedstore\[cpu\]'"):
        extras.faiss()


@pytest.mark.parametrize("gpu", extras.GPU_BUILDS)
def test_two_builds_at_once_are_refused_with_both_names(monkeypatch: pytest.MonkeyPatch, gpu: str) -> None:
    pretend_installed(monkeypatch, "faiss-cpu", gpu)
    with pytest.raises(MissingExtraError, match=f"faiss-cpu and {gpu} .*pip uninstall -y faiss-cpu {gpu}"):
        extras.faiss()


def test_two_gpu_builds_are_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, "faiss-gpu", "faiss-gpu-cuvs")
    with pytest.raises(MissingExtraError, match="faiss-gpu-cuvs and faiss-gpu are installed together"):
        extras.faiss()


def test_a_build_that_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, "faiss-gpu-cuvs")
    monkeypatch.setattr(importlib, "import_module", failing(ImportError("libcudart.so.13: not found")))
    with pytest.raises(MissingExtraError, match=r"faiss-gpu-cuvs.*libcudart"):
        extras.faiss()


def test_a_fault_inside_faiss_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, "faiss-cpu")
    monkeypatch.setattr(importlib, "import_module", failing(ModuleNotFoundError("no numpy", name="numpy")))
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        extras.faiss()
