"""Who asks: the key of a request, found in constant time in a file that may change while the service runs."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from embedstore.errors import EmbedstoreError, InputError
from query.api import keys
from query.api.keys import ANYBODY, Key

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.datastructures import Headers

LOG = logging.getLogger("embedstore.service")
LOOK = 1.0
"""Seconds for which a file that was looked at is taken to be what it was: so long a key that was taken away opens."""


class Access:
    """The keys of a service.

    Parameters
    ----------
    path
        Their file; nobody is asked for a key if None.

    Raises
    ------
    StorageError, InputError
        If there is a file that cannot be read, or holds no key.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._seen = self._stamp()
        self._keys = keys.read(path) if path else ()

    def misdirected(self, headers: Headers) -> bool:
        """Tell whether a request that needs no key came under a name that is not this machine's own.

        A page elsewhere may give its own name the address 127.0.0.1 (DNS rebinding), and its visitor's browser takes
        the answers for that page's.
        """
        try:
            return self._path is None and not _is_loopback(urlsplit(f"//{headers.get('host', '')}").hostname or "")
        except ValueError:
            return True

    def key_of(self, headers: Headers) -> Key | None:
        """Return the key that a request carries; None if it may not ask."""
        if self._path is None:
            return ANYBODY
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = keys.digest(token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", ""))
        now, found = datetime.now(UTC), None
        for key in self._current():  # all of them, so that the time says nothing about which one was near
            if hmac.compare_digest(given, key.sha256) and key.lives(now):
                found = key
        return found

    def _current(self) -> tuple[Key, ...]:
        """Return the keys of the file as it is; if it cannot be read any more, those that were there."""
        with self._lock:
            if self._path is not None and time.monotonic() - self._looked > LOOK:
                self._looked, stamp = time.monotonic(), self._stamp()
                if stamp != self._seen:
                    try:
                        self._keys, self._seen = keys.held(self._path), stamp
                    except EmbedstoreError as error:
                        LOG.error("the keys cannot be read anew", extra={"fields": {"error": str(error)}})  # noqa: TRY400
            return self._keys

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else ()


def refuse_open_door(host: str, path: Path | None) -> None:
    """Insist on keys where others than this machine can connect.

    Raises
    ------
    InputError
        If the address is not this machine's own and no key is asked for.
    """
    if path is None and not _is_loopback(host):
        raise InputError(
            f"{host} can be reached from other machines, and no key is asked for. Make one with `embedstore keys add F "
            "NAME` and give --keys F, or listen on 127.0.0.1."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
