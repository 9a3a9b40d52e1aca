"""A file of keys: who may ask, in what role, how much and until when.

It holds digests, so that who reads it cannot ask. A key is 256 random bits, told once when it is made; of such a number
a plain SHA-256 says nothing, while short secrets that people choose would need a slow hash, and are not taken.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from embedstore.errors import InputError, SpecError, storage_errors
from embedstore.sealed import locked, write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Role = Literal["read", "write", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may what those before it may: ask; start jobs, and delete its own; see the figures, and everybody's jobs."""
PREFIX = "es_"
"""So that those who look for lost secrets in texts know one when they see it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise SpecError(f"{text!r} is no time; write it like 2027-01-31T00:00:00+00:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Key:
    """A key, as the file knows it.

    Parameters
    ----------
    name
        Of who asks; two keys have one name while one replaces the other.
    role
        What they may do.
    sha256
        Digest of the key, in hex.
    created, expires
        When it was made, and when it ends, ISO 8601; never if None.
    rate
        Requests a second; any number if None.
    budget
        Points of work a minute, counted as :data:`query.api.budget.POINTS` says; any number if None.

    Raises
    ------
    SpecError
        If one makes no sense.
    """

    name: str
    role: Role
    sha256: str
    created: str
    expires: str | None = None
    rate: float | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise SpecError(f"{self.name!r} names nobody; take up to 64 letters, digits and ._@-.")
        if self.role not in ROLES:
            raise SpecError(f"there is no role {self.role!r}; choose one of {', '.join(ROLES)}.")
        if not (isinstance(self.sha256, str) and re.fullmatch(r"[0-9a-f]{64}", self.sha256)):
            raise SpecError(f"the digest of the key {self.name} is no SHA-256.")
        for moment in (self.created, self.expires):
            if moment is not None:
                _moment(moment)
        for what, most in (("rate", self.rate), ("budget", self.budget)):
            if most is not None and not (isinstance(most, (int, float)) and math.isfinite(most) and most > 0):
                raise SpecError(f"a {what} of {most!r} makes no sense; give a number above 0.")

    def may(self, role: Role) -> bool:
        """Tell whether this key may do what a role may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def lives(self, now: datetime) -> bool:
        """Tell whether it has not ended."""
        return self.expires is None or now < _moment(self.expires)


ANYBODY = Key("anybody", "admin", "0" * 64, "1970-01-01T00:00:00+00:00")
"""Who asks where no key is asked for."""


def digest(key: str) -> str:
    """Return the SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def held(path: Path) -> tuple[Key, ...]:
    """Return the keys that a file holds: none, once the last was taken away.

    Raises
    ------
    StorageError
        If it cannot be read.
    InputError
        If it is no file of keys.
    """
    with storage_errors("read the keys", path):
        raw = path.read_bytes()
    return _parsed(raw, path)


def read(path: Path) -> tuple[Key, ...]:
    """Return the keys of a file, of which there are some.

    Raises
    ------
    StorageError
        If it cannot be read.
    InputError
        If it is no file of keys, or holds none: a service that nobody may ask is not worth starting.
    """
    keys = held(path)
    if not keys:
        raise InputError(f"the file {path} holds no key; make one with `embedstore keys add {path} NAME`.")
    return keys


def add(
    path: Path,
    name: str,
    role: Role = "read",
    days: float | None = None,
    rate: float | None = None,
    budget: float | None = None,
) -> str:
    """Make a key, keep its digest in a file, and return it: nobody can tell it again.

    Parameters
    ----------
    path
        The file; made, readable by its owner alone, if it is not there.
    name, role, rate, budget
        Of the key; see :class:`Key`.
    days
        After which it ends.

    Raises
    ------
    InputError
        If there is a key of this name.
    SpecError
        If something makes no sense.
    StorageError
        If the file cannot be written.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    made = Key(name, role, digest(secret), _text(now), _text(_in_days(now, days)), rate, budget)

    def change(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if any(key.name == name for key in keys):
            raise InputError(f"there is a key of {name} in {path} already; replace it with `embedstore keys rotate`.")
        return (*keys, made)

    _change(path, change)
    return secret


def rotate(path: Path, name: str, hours: float) -> str:
    """Make a key that replaces those of a name, which end after some hours; return it.

    Raises
    ------
    InputError
        If there is none of this name, or the hours make no sense.
    StorageError
        If the file cannot be written.
    """
    if not 0 <= hours < math.inf:
        raise InputError(f"{hours} hours make no sense; give 0 or more.")
    secret, now = PREFIX + secrets.token_urlsafe(32), datetime.now(UTC)
    end = _text(now + timedelta(hours=hours))

    def change(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        mine = _of(keys, name, path)
        ending = [replace(k, expires=end if k.expires is None else min(k.expires, end, key=_moment)) for k in mine]
        fresh = replace(mine[-1], sha256=digest(secret), created=_text(now))
        if not fresh.lives(now):
            raise InputError(f"the key of {name} ended at {fresh.expires}; revoke it, and add another.")
        living = [k for k in ending if k.lives(now)]
        return (*(k for k in keys if k.name != name), *living, fresh)

    _change(path, change)
    return secret


def revoke(path: Path, name: str) -> int:
    """Take the keys of a name away; return how many there were.

    Raises
    ------
    InputError
        If there is none.
    StorageError
        If the file cannot be written.
    """
    gone: list[Key] = []

    def change(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        gone.extend(_of(keys, name, path))
        return tuple(k for k in keys if k.name != name)

    _change(path, change)
    return len(gone)


def _of(keys: tuple[Key, ...], name: str, path: Path) -> list[Key]:
    mine = [key for key in keys if key.name == name]
    if not mine:
        raise InputError(f"there is no key of {name} in {path}; `embedstore keys list {path}` shows those that are.")
    return mine


def _change(path: Path, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
    """Change a file as one step; who reads it meanwhile finds the old or the new."""
    with storage_errors("write the keys", path), locked(path.with_name(f".{path.name}.lock")):
        keys = change(_parsed(path.read_bytes(), path) if path.exists() else ())
        body = json.dumps({"keys": [asdict(key) for key in keys]}, indent=2) + "\n"
        write_bytes(path, body.encode())
        path.chmod(0o600)


def _parsed(raw: bytes, path: Path) -> tuple[Key, ...]:
    try:
        body: Any = json.loads(raw)
        return tuple(Key(**one) for one in body["keys"])
    except (ValueError, TypeError, KeyError, RecursionError, SpecError) as error:
        reason = str(error) if isinstance(error, SpecError) else "it is no JSON that `embedstore keys` wrote"
        raise InputError(
            f"the file {path} is no file of keys: {reason.rstrip('.')}. Make one with `embedstore keys add`."
        ) from error


def _text(moment: datetime | None) -> Any:
    return moment.isoformat(timespec="seconds") if moment else None


def _in_days(now: datetime, days: float | None) -> datetime | None:
    if days is None:
        return None
    try:
        return now + timedelta(days=days) if days > 0 else _no_days(days)
    except OverflowError:
        return _no_days(days)


def _no_days(days: float) -> datetime:
    raise SpecError(f"an end after {days!r} days makes no sense; give a number above 0.")
