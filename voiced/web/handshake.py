"""The handshake of a WebSocket, once its request is read: accepted, or turned away.

It is wsproto's, but made here from the head that the door has read already, so that no HTTP
parser and no request stays in memory for as long as the connection lasts (it would be more than
the connection itself).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection, TextMessage
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError, RemoteProtocolError

from voiced.web.refusal import Refusal
from voiced.web.streams import linger
from voiced.web.websocket import DoorSocket, Upgrade

if TYPE_CHECKING:
    from voiced.realtime.secrets import Attached
    from voiced.web.head import Head

SUBPROTOCOL = "realtime"
# What a client sends before it can know that it is turned away: a session.update with its tools,
# and some seconds of speech.
TURNED_AWAY_BYTES = 262_144
# Not passed on, since they would stay in memory with the connection: fields that are secret, that
# served the handshake, or that say nothing about a conversation.
SPENT_HEADERS = frozenset(
    {"authorization", "connection", "cookie", "host", "proxy-authorization", "upgrade"}
    | {"cache-control", "pragma"}
)
SPENT_PREFIXES = ("sec-", "accept", "content-", "x-stainless-")


def describe_upgrade(head: Head, remote: str, attached: Attached, *, secret_prefix: str) -> Upgrade:
    """Return what a handler may know of `head`, without subprotocols that carry a key."""
    return Upgrade(
        path=head.path,
        query=head.query,
        headers={
            name: value
            for name, value in head.headers.items()
            if name not in SPENT_HEADERS and not name.startswith(SPENT_PREFIXES)
        },
        remote=remote,
        subprotocols=tuple(
            value
            for value in head.values("sec-websocket-protocol")
            if not value.startswith(secret_prefix)
        ),
        attached=attached,
    )


async def accept_websocket(
    stream: trio.abc.HalfCloseableStream, head: Head, *, max_message_bytes: int
) -> DoorSocket | Refusal:
    """Answer the upgrade request `head` with 101, or return why it cannot be answered.

    Of the subprotocols on offer only `realtime` is ever chosen, never the one that carries a key.
    The caller must run `read` of the connection in a task, close the connection, and then close
    `stream`. Raises trio.BrokenResourceError when the peer has gone.
    """
    hands = _shake_hands(head)
    if isinstance(hands, Refusal):
        return hands
    hands.connection.receive_data(head.rest)
    await stream.send_all(hands.answer)
    return DoorSocket(
        stream,
        hands.connection,
        path=head.path,
        subprotocol=hands.subprotocol,
        max_message_bytes=max_message_bytes,
    )


class _Hands(msgspec.Struct, frozen=True):
    """A handshake that can be answered, and the connection that begins with `answer`."""

    answer: bytes
    connection: Connection
    subprotocol: str | None


def _shake_hands(head: Head) -> _Hands | Refusal:
    handshake = H11Handshake(ConnectionType.SERVER)
    try:
        handshake.receive_data(head.raw)
        request = next(handshake.events())
        offered = getattr(request, "subprotocols", [])
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
        answer = handshake.send(AcceptConnection(subprotocol=subprotocol))
    except RemoteProtocolError as error:
        return _handshake_refusal(error)
    except (ProtocolError, ValueError):
        return Refusal(400, "malformed_request", "The WebSocket handshake is malformed.")
    connection = handshake.connection
    if connection is None:
        raise AssertionError("wsproto makes the connection when it sends the acceptance")
    return _Hands(answer, connection, subprotocol)


def _handshake_refusal(error: RemoteProtocolError) -> Refusal:
    hint = error.event_hint
    status = hint.status_code if isinstance(hint, RejectConnection) else 400
    headers = (("Sec-WebSocket-Version", "13"),) if status == 426 else ()
    return Refusal(status, "malformed_request", f"WebSocket handshake: {error}.", headers)


async def turn_away(
    stream: trio.abc.HalfCloseableStream,
    head: Head,
    event: str,
    code: int,
    reason: str,
    *,
    timeout_s: float,
) -> Refusal | None:
    """Accept the upgrade `head`, send one `event` that says why not, and close with `code`.

    Browsers cannot see the status of a refused upgrade, but they see this; see `farewell`.

    Whoever is turned away may not cost anything: nothing that it sends is looked at, so no message
    of its own gathers in memory, and after `TURNED_AWAY_BYTES` or `timeout_s` it is cut off.
    Returns why the upgrade itself cannot be answered, in which case nothing was sent. Raises
    trio.BrokenResourceError when the peer has gone. The caller closes `stream`.
    """
    hands = _shake_hands(head)
    if isinstance(hands, Refusal):
        return hands
    send = hands.connection.send
    farewell = send(TextMessage(event)) + send(CloseConnection(code=code, reason=reason))
    with trio.move_on_after(timeout_s):
        await stream.send_all(hands.answer + farewell)
        await linger(stream, timeout_s, max_bytes=TURNED_AWAY_BYTES)
    return None
