"""Files of keys that tests know."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from query.api import keys
from query.api.keys import Key

if TYPE_CHECKING:
    from pathlib import Path

CREATED = "2026-01-01T00:00:00+00:00"


def key_file(folder: Path, **secrets: str | tuple[str, dict[str, Any]]) -> Path:
    """Write a file of keys: name = secret, with the role admin, or (secret, fields)."""
    made = []
    for name, one in secrets.items():
        secret, fields = one if isinstance(one, tuple) else (one, {})
        made.append(Key(**{"name": name, "role": "admin", "sha256": keys.digest(secret), "created": CREATED, **fields}))
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": [asdict(key) for key in made]}))
    return path
