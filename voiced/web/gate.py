"""The ASGI gate before the HTTP application: trust and token for each request, and deadlines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog
import trio

from voiced.web.auth import Authenticator, credential, credential_refusal
from voiced.web.cors import is_preflight, preflight_fields, shared_fields
from voiced.web.farewell import MISSING_KEY
from voiced.web.refusal import Refusal, refusal_body, refusal_headers
from voiced.web.trust import Trust, fold_headers, said_of_itself

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from voiced.settings import Settings

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    # Any: every framework has its own types for the same three things.
    Application = Callable[[Any, Any, Any], Awaitable[None]]

log = structlog.get_logger()

# Whoever watches over the machine may ask whether the daemon lives, without a token.
OPEN_PATHS = frozenset({"/health"})


class Gate:
    """An ASGI application that lets through to `app` what is trusted, and bounds its waits."""

    def __init__(
        self, app: Application, settings: Settings, trust: Trust, authenticator: Authenticator
    ) -> None:
        self._app = app
        self._trust = trust
        self._authenticator = authenticator
        self._settings = settings
        #: Requests that were not let in, by code.
        self.refused: Counter[str] = Counter()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request; anything but HTTP is refused by a plain error."""
        if scope["type"] != "http":
            raise ValueError(f"the gate serves HTTP only, not {scope['type']}")
        exchange = Exchange(receive, send, self._settings)
        headers = fold_headers(scope["headers"])
        refusal = self._distrust(scope, headers)
        if refusal is None:
            exchange.fields = shared_fields(headers)
            if is_preflight(scope["method"], headers):
                await exchange.answer_unread(204, preflight_fields(headers))
                return
            refusal = self._object_to_key(scope, headers)
        if refusal is not None:
            self.refused[refusal.code or MISSING_KEY] += 1
            log.info(
                "refuse request",
                path=scope["path"],
                remote=scope["client"][0],
                status=refusal.status,
                code=refusal.code,
                **said_of_itself(headers),
            )
            body = refusal_body(refusal)
            await exchange.answer_unread(refusal.status, refusal_headers(refusal, body), body)
        else:
            await self._app(scope, exchange.receive, exchange.send)
            log.debug("answer request", path=scope["path"], method=scope["method"])

    def _distrust(self, scope: Message, headers: Mapping[str, str]) -> Refusal | None:
        if not scope["path"].startswith(("/", "http://", "https://")):
            return Refusal(400, "malformed_request", "The request target is malformed.")
        secure = scope["scheme"] == "https"
        return self._trust.check(headers, scope["server"][0], secure=secure)

    def _object_to_key(self, scope: Message, headers: Mapping[str, str]) -> Refusal | None:
        if scope["path"] in OPEN_PATHS:
            return None
        key = credential(headers)
        return credential_refusal(self._authenticator.check(scope["client"][0], headers, key))


class Exchange:
    """One request and its response, with deadlines that neither hypercorn nor Quart has."""

    def __init__(self, receive: Receive, send: Send, settings: Settings) -> None:
        self._receive = receive
        self._send = send
        self._body_timeout_s = settings.server.body_timeout_s
        self._body_bytes_s = settings.limits.body_bytes_s
        self._send_timeout_s = settings.limits.send_timeout_s
        self._patience_s = self._body_timeout_s
        self._complete = False
        self._started = False
        self._refused = False
        #: Header fields that every answer has.
        self.fields: list[tuple[bytes, bytes]] = []

    async def receive(self) -> Message:
        """Return the next part of the request; a body that stalls, or dribbles in, is refused
        with 408. Only the time that is spent here counts, so the application may be slow."""
        if self._complete:
            return await self._receive()
        with trio.move_on_after(self._patience_s):
            began = trio.current_time()
            message = await self._receive()
            waited_s = trio.current_time() - began
            earned_s = len(message.get("body", b"")) / self._body_bytes_s
            self._patience_s = min(self._patience_s - waited_s + earned_s, self._body_timeout_s)
            self._complete = not message.get("more_body", False)
            return message
        if not self._started:
            await self.refuse(
                Refusal(408, "request_timeout", "The request body did not arrive in time.")
            )
        return {"type": "http.disconnect"}

    async def answer_unread(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b""
    ) -> None:
        """Answer, while the request is thrown away: hypercorn stands still till it is taken."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._discard)
            await self._answer(status, headers, body)
            nursery.cancel_scope.cancel(reason="answered")

    async def _discard(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def send(self, message: Message) -> None:
        """Send a part of the response, unless the request has been refused meanwhile."""
        if not self._refused:
            await self._pass_on(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with `refusal`; whatever the application sends after it is dropped."""
        self._refused = True
        body = refusal_body(refusal)
        await self._answer(refusal.status, refusal_headers(refusal, body), body)

    async def _answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._pass_on(start)
        await self._pass_on({"type": "http.response.body", "body": body, "more_body": False})

    async def _pass_on(self, message: Message) -> None:
        self._started = True
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *self.fields]
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        # quart-trio cancels the request as soon as hypercorn tells it that the response is over,
        # which is before hypercorn has closed or recycled the connection: without this shield an
        # HTTP/1.1 connection is never closed.
        with trio.move_on_after(self._send_timeout_s, shield=True):
            await self._send(message)
