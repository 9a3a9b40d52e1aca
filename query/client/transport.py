"""Requests to the service, and its problems as the errors that the engine would have raised."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa

from embedstore import errors

if TYPE_CHECKING:
    from pathlib import Path

ARROW = "application/vnd.apache.arrow.stream"
ERRORS: dict[int, type[errors.EmbedstoreError]] = {
    400: errors.QueryError,
    404: errors.UnknownIdError,
    413: errors.LimitError,
    415: errors.RasterError,
    422: errors.QueryError,
}
"""What a status means; any other is a store that cannot serve."""
BUSY = frozenset({429, 503})
TRIES, LONGEST = 6, 60
"""How often a busy service is asked, and seconds for which it is waited at most."""


class Transport:
    """A connection to a service.

    Parameters
    ----------
    url
        Where it is.
    key
        To send along, if it asks for one.
    timeout
        Seconds to wait for an answer.
    http
        The HTTP client to use; one is made if None.
    """

    def __init__(self, url: str, key: str | None, timeout: float, http: httpx.Client | None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = http or httpx.Client(timeout=timeout)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def json(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Return an answer as plain data."""
        return self.ask(method, path, body, **more).json()

    def arrow(self, path: str, body: Any = None, **more: Any) -> pa.Table:
        """Return an answer as an Arrow table."""
        answer = self.ask("POST", path, body, headers={"Accept": ARROW}, **more)
        return pa.ipc.open_stream(answer.content).read_all()

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Send a request; to a busy service, again after the time that it says.

        Raises
        ------
        EmbedstoreError
            What the engine would have raised, if the service refuses; StoreError if it cannot be reached.
        """
        url = path if path.startswith(("http://", "https://")) else self.url + path
        for attempt in range(TRIES):
            try:
                answer = self._http.request(
                    method, url, json=body, headers={**self._headers, **(headers or {})}, **more
                )
            except httpx.HTTPError as error:
                raise errors.StoreError(
                    f"the service at {self.url} does not answer: {error}. Is it running?"
                ) from error
            seconds = _come_again(answer)
            if seconds is None or attempt == TRIES - 1:
                break
            time.sleep(seconds + random.random() / 2)  # noqa: S311 - so that not all come at once
        _check(answer)
        return answer

    def download(self, path: str, target: Path) -> None:
        """Write an answer to a file, which appears whole or not at all.

        Raises
        ------
        EmbedstoreError
            If the service refuses or cannot be reached, or the file cannot be written.
        """
        from query.output import replace_file  # noqa: PLC0415 - only downloads need it

        def fill(draft: Path) -> None:
            with self._http.stream("GET", self.url + path, headers=self._headers) as answer, draft.open("wb") as file:
                if answer.is_error:
                    answer.read()
                    _check(answer)
                for piece in answer.iter_bytes():
                    file.write(piece)

        try:
            replace_file(target, fill)
        except httpx.HTTPError as error:
            raise errors.StoreError(f"the service at {self.url} broke off: {error}. Ask again.") from error


def _come_again(answer: httpx.Response) -> int | None:
    """Return the seconds after which a busy service may be asked again; None if it is not busy, or for long."""
    told = answer.headers.get("Retry-After", "")
    if answer.status_code not in BUSY or not (told.isascii() and told.isdecimal()) or int(told) > LONGEST:
        return None
    return int(told)


def _check(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the service answered {answer.status_code} {answer.reason_phrase}."
    raise ERRORS.get(answer.status_code, errors.StoreError)(detail)
