"""Releases of libraries with holes that touch this package are excluded by its lower bounds.

This knows what is written here; `make audit` asks the public lists of advisories, which takes the network.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

FIXED = {
    "h11": ("0.16", "CVE-2025-43859: chunks that end otherwise than they should let requests be smuggled"),
    "pyarrow": ("17", "CVE-2024-52338: code in Parquet's metadata is run (in R; the formats are read by one library)"),
    "python-multipart": ("0.0.31", "CVE-2026-42561, GHSA-v9pg-7xvm-68hf: headers of parts, lengths without bound"),
    "starlette": (
        "1.3.1",
        "CVE-2025-62727, CVE-2026-54283: Range headers take quadratic time; limits of forms ignored",
    ),
    "torch": ("2.10", "CVE-2025-32434, CVE-2026-24747: weights_only runs code, or corrupts memory"),
}
"""First release without the hole, and the hole."""


def requirements() -> dict[str, Requirement]:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    found = [Requirement(line) for line in tomllib.loads(text)["project"]["dependencies"]]
    return {one.name: one for one in found}


@pytest.mark.parametrize("name", FIXED)
def test_no_release_with_a_known_hole_is_allowed(name: str) -> None:
    first = Version(FIXED[name][0])
    (least,) = (Version(s.version) for s in requirements()[name].specifier if s.operator == ">=")
    assert least >= first, FIXED[name][1]
    assert Version(version(name)) >= first


def test_every_library_has_a_lower_bound() -> None:
    unbounded = [name for name, one in requirements().items() if not any(s.operator == ">=" for s in one.specifier)]
    assert not unbounded
