"""Admission: from the first bytes of a connection to a WebSocket, an HTTP stream, or a refusal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import structlog
import trio

from voiced.realtime.secrets import Attached
from voiced.web.auth import KEY_PROTOCOL, Authenticator, Verdict, credential, credential_refusal
from voiced.web.farewell import MISSING_KEY, farewell
from voiced.web.handshake import accept_websocket, describe_upgrade, turn_away
from voiced.web.head import Head, read_head
from voiced.web.refusal import Refusal, refusal_response
from voiced.web.request_shape import is_observer, object_to_shape
from voiced.web.streams import HttpStream, MessageStream, linger
from voiced.web.trust import Trust, said_of_itself
from voiced.web.websocket import (
    CLOSE_CREDENTIALS,
    CLOSE_REQUEST,
    CLOSE_TOO_MANY,
    CLOSE_UNKNOWN_SESSION,
    DoorSocket,
    Upgrade,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voiced.settings import Settings
    from voiced.web.streams import ClientStream, Line

log = structlog.get_logger()

REALTIME_PATH = "/v1/realtime"

OBSERVER_BYTES = 4_096
"""The longest message of an observer, which has nothing to say but ping and pong."""


class AdmittedSocket(msgspec.Struct, frozen=True):
    """A WebSocket that passed; it counts until `Admission.release`."""

    websocket: DoorSocket
    upgrade: Upgrade


class AdmittedHttp(msgspec.Struct, frozen=True):
    """A stream that starts with an HTTP request; it counts until `Admission.release`.

    `peer` is the IP address of the client.
    """

    stream: HttpStream
    peer: str


class Objection(msgspec.Struct, frozen=True):
    """Why a WebSocket is turned away, as an `error` event, and the close code that follows.

    3000 for a missing or wrong credential, 4000 for a request of another shape, 4001 for a
    session that is not known, 4029 for one connection too many.
    """

    refusal: Refusal
    close_code: int


class Admission:
    """The rules by which connections get in, and the count of those that are in."""

    def __init__(
        self,
        settings: Settings,
        trust: Trust,
        authenticator: Authenticator,
        on_refusal: Callable[[Refusal], None],
    ) -> None:
        """`on_refusal` is told of everybody who is turned away; it must neither wait nor raise."""
        self._on_refusal = on_refusal
        self._server = settings.server
        self._limits = settings.limits
        self._trust = trust
        self._authenticator = authenticator
        self._sockets: Counter[str] = Counter()
        self._observers: Counter[str] = Counter()
        self._http = 0
        #: Connections that were not let in, by code.
        self.refused: Counter[str] = Counter()

    @property
    def sockets(self) -> int:
        """How many WebSockets are in."""
        return self._sockets.total() + self._observers.total()

    async def admit(self, line: Line) -> AdmittedSocket | AdmittedHttp | None:
        """Read the first request on `line` and decide.

        Returns None for whoever was refused (and told so) or left. What is admitted must be given
        to `release` when it ends. Raises trio.BrokenResourceError when the connection breaks. The
        caller closes the stream; cancelling leaves nothing counted.
        """
        stream, peer = line.stream, line.peer
        head = await read_head(
            stream, timeout_s=self._server.head_timeout_s, max_bytes=self._limits.head_bytes
        )
        if head is None:
            return None
        refusal = head if isinstance(head, Refusal) else self._check(head, line)
        if refusal is not None:
            await self._refuse(stream, refusal, peer, head if isinstance(head, Head) else None)
            return None
        if not isinstance(head, Head):
            return None
        if head.is_websocket():
            return await self._admit_socket(stream, head, peer)
        self._http += 1
        raw = head.raw + head.rest
        timeout_s = self._limits.send_timeout_s
        return AdmittedHttp(HttpStream(stream, raw, send_timeout_s=timeout_s), peer)

    def release(self, admitted: AdmittedSocket | AdmittedHttp) -> None:
        """Stop counting a connection that has ended."""
        if isinstance(admitted, AdmittedHttp):
            self._http -= 1
            return
        upgrade = admitted.upgrade
        self._discount(upgrade.remote, self._peers(upgrade.query))

    def _check(self, head: Head, line: Line) -> Refusal | None:
        """What can be said before the upgrade: a browser may only see that it failed."""
        refusal = self._trust.check(head.headers, line.local[0], secure=line.secure)
        if refusal is not None:
            return refusal
        if not head.is_websocket():
            if self._http >= self._limits.http_connections:
                message = "Too many HTTP connections; try again soon."
                return Refusal(503, "too_many_connections", message, (("Retry-After", "1"),))
        elif head.path != REALTIME_PATH:
            return Refusal(404, "not_found", f"WebSockets are served at {REALTIME_PATH} only.")
        return None

    async def _refuse(
        self, stream: ClientStream, refusal: Refusal, peer: str, head: Head | None
    ) -> None:
        self._note(refusal)
        log.info(
            "refuse connection",
            remote=peer,
            status=refusal.status,
            code=refusal.code,
            **({} if head is None else said_of_itself(head.headers)),
        )
        await stream.send_all(refusal_response(refusal))
        await linger(stream, self._server.close_timeout_s)

    async def _admit_socket(
        self, stream: ClientStream, head: Head, peer: str
    ) -> AdmittedSocket | None:
        # Decided before anything is accepted: only who gets in may send long messages.
        decision = self._decide(head, peer)
        websocket = MessageStream(stream) if isinstance(stream, trio.SocketStream) else stream
        if isinstance(decision, Objection):
            refusal, code = decision.refusal, decision.close_code
            self._note(refusal)
            log.info("turn away websocket", remote=peer, close_code=code, code=refusal.code)
            event, reason = farewell(refusal, observer=is_observer(head.query))
            malformed = await turn_away(
                websocket, head, event, code, reason, timeout_s=self._server.close_timeout_s
            )
            if malformed is not None:
                await self._refuse(stream, malformed, peer, head)
            return None
        peers = self._peers(head.query)
        peers[peer] += 1
        most_bytes = OBSERVER_BYTES if is_observer(head.query) else self._limits.frame_bytes
        try:
            accepted = await accept_websocket(websocket, head, max_message_bytes=most_bytes)
        except BaseException:
            self._discount(peer, peers)
            raise
        if isinstance(accepted, Refusal):
            self._discount(peer, peers)
            await self._refuse(stream, accepted, peer, head)
            return None
        upgrade = describe_upgrade(head, peer, decision, secret_prefix=KEY_PROTOCOL)
        return AdmittedSocket(accepted, upgrade)

    def _note(self, refusal: Refusal) -> None:
        self.refused[refusal.code or MISSING_KEY] += 1
        self._on_refusal(refusal)

    def _peers(self, query: Mapping[str, str]) -> Counter[str]:
        """Where such a WebSocket counts: who watches takes no place from who talks."""
        return self._observers if is_observer(query) else self._sockets

    @staticmethod
    def _discount(peer: str, peers: Counter[str]) -> None:
        peers[peer] -= 1
        if not peers[peer]:
            del peers[peer]

    def _decide(self, head: Head, peer: str) -> Attached | Objection:
        """What the session begins with, or why there is none: said after the upgrade."""
        key = credential(head.headers, head.values("sec-websocket-protocol"))
        verdict, attached = self._authenticator.check_realtime(peer, head.headers, key)
        refusal = credential_refusal(verdict)
        if refusal is not None:
            guessing = verdict is Verdict.TOO_MANY
            return Objection(refusal, CLOSE_TOO_MANY if guessing else CLOSE_CREDENTIALS)
        if attached is not None and is_observer(head.query):
            message = "A client secret is for a conversation. Watching needs the server's token."
            return Objection(Refusal(403, "invalid_api_key", message), CLOSE_CREDENTIALS)
        attached = Attached() if attached is None else attached
        refusal = object_to_shape(head, attached.kind)
        if refusal is not None:
            return Objection(refusal, CLOSE_REQUEST)
        if "session_id" in head.query:
            message = "There is no such session, or it is over; connect without 'session_id'."
            refusal = Refusal(404, "session_not_found", message, param="session_id")
            return Objection(refusal, CLOSE_UNKNOWN_SESSION)
        return self._object_to_number(peer, head.query) or attached

    def _object_to_number(self, peer: str, query: Mapping[str, str]) -> Objection | None:
        if self._peers(query)[peer] >= self._limits.connections_per_address:
            message = (
                f"Too many connections from this address: at most"
                f" {self._limits.connections_per_address} (limits.connections_per_address)."
            )
            return Objection(Refusal(429, "too_many_connections", message), CLOSE_TOO_MANY)
        if is_observer(query):
            if self._observers.total() < self._limits.observers:
                return None
            message = f"Too many observers: at most {self._limits.observers} (limits.observers)."
            return Objection(Refusal(429, "too_many_observers", message), CLOSE_TOO_MANY)
        if self._sockets.total() >= self._limits.sessions:
            message = f"Too many sessions: at most {self._limits.sessions} (limits.sessions)."
            return Objection(Refusal(429, "too_many_sessions", message), CLOSE_TOO_MANY)
        return None
