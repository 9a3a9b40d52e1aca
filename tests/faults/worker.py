"""A writer to be killed: changes a store at random and keeps a journal of what it is about to do and what it did.

``python -m tests.faults.worker STORE JOURNAL SEED``
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

from embedstore.store import Store
from indexer import build as build_module
from tests.embedstore import make

build_module.FLAT_ROWS = 400  # type: ignore[misc] # small stores take every path


def note(journal: int, entry: dict[str, Any]) -> None:
    """Write one line so that it survives our death."""
    os.write(journal, json.dumps(entry).encode() + b"\n")


def main() -> None:
    """Change the store until killed."""
    root, seed = Path(sys.argv[1]), int(sys.argv[3])
    journal = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    rng = random.Random(seed)
    store = Store.open(root)
    held = set(json.loads(sys.stdin.readline()))
    note(journal, {"ready": True})
    while True:
        kind = rng.choices(["append", "delete", "compact", "index", "vacuum"], [6, 4, 2, 2, 1])[0]
        names = [rng.randrange(3000) for _ in range(rng.randrange(1, 60))]
        ids = [make.chip_id(n) for n in names]
        gone = sorted(rng.sample(sorted(held), min(len(held), rng.randrange(1, 20))))
        plan = {"append": {"adds": ids}, "delete": {"removes": gone}}.get(kind, {})
        note(journal, {"begin": kind, **plan})
        if kind == "append":
            store.append(make.chips(list(names)))
            held |= set(ids)
        elif kind == "delete" and gone:
            store.delete(ids=gone)
            held -= set(gone)
        elif kind == "compact":
            store.compact()
        elif kind == "index":
            build_module.build(root)
            store.refresh()
        elif kind == "vacuum":
            store.vacuum(grace_hours=0)
        note(journal, {"end": kind})


if __name__ == "__main__":
    main()
