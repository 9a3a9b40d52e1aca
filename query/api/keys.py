"""Who may ask what: keys from a file, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING, Literal

from embedstore.errors import InputError, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from starlette.datastructures import Headers

    from query.api.settings import Settings

Role = Literal["full", "read-only"]


def read_keys(path: Path | None) -> tuple[str, ...]:
    """Return the keys of a file, one a line; empty lines and those that begin with # do not count.

    Raises
    ------
    StorageError
        If the file cannot be read.
    InputError
        If it holds no key: an empty file must not open the service to everybody.
    """
    if path is None:
        return ()
    with storage_errors("read the keys", path):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise InputError(
            f"the key file {path} holds no key; write one a line, for instance with `openssl rand -hex 32`."
        )
    return keys


def refuse_open_door(host: str, keys: Iterable[str]) -> None:
    """Insist on a key where others than this machine can connect.

    Raises
    ------
    InputError
        If the address is not this machine's own and there is no key.
    """
    if not any(keys) and not _is_loopback(host):
        raise InputError(
            f"{host} can be reached from other machines, and no key is asked for. Give --api-key-file F, or listen on "
            "127.0.0.1."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Keys:
    """The keys of a service.

    Parameters
    ----------
    settings
        With the keys, if there are any.
    """

    def __init__(self, settings: Settings) -> None:
        roles: list[tuple[Role, tuple[str, ...]]] = [
            ("full", settings.api_keys),
            ("read-only", settings.read_only_keys),
        ]
        self._known = [(_digest(key), role) for role, keys in roles for key in keys]

    def role(self, headers: Headers) -> Role | None:
        """Return what a request may do; None if it may not ask at all."""
        if not self._known:
            return "full"
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest, found = _digest(given), None
        for known, role in self._known:  # all of them, so that the time says nothing about which one was near
            if hmac.compare_digest(digest, known) and found is None:
                found = role
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
