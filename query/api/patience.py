"""How long a request is worked on: until its time is over, and while somebody waits for the answer."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

import anyio

from embedstore.deadline import Deadline, Stopped, bounded
from query.api.problems import respond

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from query.api.line import Place


RESTARTED = "10"
"""Seconds after which a service that ends may be there again."""


class Patience:
    """One request, and how long there is for it.

    What waits for a thread stops at once; what runs in one stops where it next looks at its deadline, and until then
    the thread counts as taken.

    Parameters
    ----------
    receive, send
        Of the request.
    seconds
        From now until the answer begins.
    place
        In line; it is left when the answer begins.
    """

    def __init__(self, receive: Receive, send: Send, seconds: float, place: Place) -> None:
        self._receive, self._send, self._seconds = receive, send, seconds
        self._deadline = Deadline(seconds)
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        self._arrived: asyncio.Queue[Message] = asyncio.Queue(1)
        self._begun = self._gone = False
        self._all_there: float | None = None
        self._place = place

    async def answer(self, app: ASGIApp, scope: Scope, bounds: Callable[[Receive], Receive]) -> None:
        """Let an application answer; say so if it does not in time.

        Parameters
        ----------
        app, scope
            Who answers, and what is asked.
        bounds
            Puts bounds to what the application receives.
        """
        watching = asyncio.create_task(self._watch())
        try:
            with bounded(self._deadline), self._scope:
                await app(scope, bounds(self._arrived.get), self._begin)
        except Stopped:
            pass
        except asyncio.CancelledError:  # by the server, which is told to end and has waited for long enough
            if not self._begun:
                self._begun = True
                detail = "the service ends and cannot wait for this answer; ask again in a while."
                await respond(503, detail, {"Retry-After": RESTARTED})(scope, self._receive, self._send)
        finally:
            watching.cancel()
            self._deadline.cancel()  # nobody needs what still runs
        if not self._begun and not self._gone:
            self._note()
            detail = f"there was no answer within {self._seconds:g} s, so the work was stopped; ask for less."
            await respond(504, detail)(scope, self._receive, self._send)

    async def _watch(self) -> None:
        """Pass on what comes, and end the work if its client goes away."""
        while (message := await self._receive())["type"] != "http.disconnect":
            if not message.get("more_body"):
                self._all_there = time.monotonic()
                self._place.ready()
            await self._arrived.put(message)
        self._gone = True
        self._deadline.cancel()
        self._scope.cancel()

    async def _begin(self, message: Message) -> None:
        """Send a part of the answer; once it has begun it may take as long as its client needs."""
        if not self._begun:
            self._deadline.check()  # then the answer is that it is too late
            self._begun, self._scope.deadline = True, math.inf
            self._note()
        await self._send(message)

    def _note(self) -> None:
        self._place.leave(None if self._all_there is None else time.monotonic() - self._all_there)
