"""What is fuzzed: one target a reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fuzz import given, mutate, stored

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Run = Callable[[bytes], None]
    Mutate = Callable[[random.Random, Sequence[bytes]], bytes]


@dataclass(frozen=True)
class Target:
    """A reader under attack.

    Parameters
    ----------
    open
        Makes it ready, with the folder of all seeds and an empty folder, and returns what reads one input.
    seeds
        Folder of what is mutated.
    mutate
        How.
    """

    open: Callable[[Path, Path], Run]
    seeds: str
    mutate: Mutate = mutate.of_bytes


TARGETS: dict[str, Target] = {
    "codebook": Target(stored.codebook, "codebook.faiss"),
    "lists": Target(stored.lists, "lists.faiss"),
    "rows": Target(stored.rows, "rows.arrow"),
    "manifest": Target(stored.manifest, "manifest.json", mutate.of_json),
    "segments": Target(stored.damaged, "segments"),
    "moves": Target(stored.moves, "moves"),
    "data": Target(stored.data, "data"),
    "imports": Target(given.imports, "imports"),
    "arrays": Target(given.arrays, "arrays"),
    "models": Target(given.models, "models"),
    "cards": Target(given.cards, "cards", mutate.of_json),
    "uploads": Target(given.uploaded, "uploads"),
    "scenes": Target(given.local, "local"),
    "labels": Target(given.labels, "labels", mutate.of_json),
    "areas": Target(given.areas, "areas", mutate.of_json),
    "stac": Target(given.stac, "stac", mutate.of_json),
    "plans": Target(given.plans, "plans"),
    "keys": Target(given.key_files, "keys", mutate.of_json),
    "where": Target(given.where, "where", mutate.of_text),
    "sql": Target(given.sql, "sql", mutate.of_text),
    "requests": Target(given.requests, "requests", mutate.of_json),
}
