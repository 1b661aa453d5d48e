"""The entrances of the front door: accepting, and what comes before the first request."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import msgspec
import structlog
import trio

from voiced.supervision.hearts import BEAT_S
from voiced.web.streams import Line, local_address
from voiced.web.tls import HandshakeFailed, HasContext, shake_hands

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.settings import Server
    from voiced.supervision.hearts import Heart

    AddressOf = Callable[[trio.SocketStream], str]

log = structlog.get_logger()

# What accept(2) reports when the process or the system is short of something; it passes.
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
SHORTAGE_PAUSE_S = 0.1


class Entrance(msgspec.Struct, frozen=True):
    """A listening socket, and the certificate for what comes in there; None where it is plain."""

    listener: trio.SocketListener
    certificate: HasContext | None = None


async def accept_all(
    listener: trio.SocketListener,
    heart: Heart,
    welcome: Callable[[trio.SocketStream], None],
    evict: Callable[[str], object],
) -> None:
    """Hand each new connection to `welcome`, until the listener is closed.

    `evict` is called, with a reason, to give up a connection where there is no room for another.
    Raises OSError for what accept(2) reports and does not pass.
    """
    short = False
    while True:
        heart.beat()
        stream = None
        try:
            with trio.move_on_after(BEAT_S):
                stream = await listener.accept()
        except trio.ClosedResourceError:
            return  # stopped
        except OSError as error:
            if error.errno not in SHORTAGES:
                raise
            if not short:  # once per shortage, not ten times a second
                log.error("cannot accept connections", cause=os.strerror(error.errno or 0))
            short = True
            evict("too few resources")
            await trio.sleep(SHORTAGE_PAUSE_S)
            continue
        if stream is not None:
            short = False
            welcome(stream)


async def open_line(
    stream: trio.SocketStream, entrance: Entrance, peer_of: AddressOf, server: Server
) -> Line | None:
    """Who it is and, where there is a certificate, TLS; None where nothing comes of it."""
    try:
        peer, local = peer_of(stream), local_address(stream)
    except OSError:
        return None  # gone before we looked
    if entrance.certificate is None:
        return Line(stream, peer, local, secure=False)
    try:
        secure = await shake_hands(
            stream,
            entrance.certificate.context,
            timeout_s=server.handshake_timeout_s,
            close_timeout_s=server.close_timeout_s,
        )
    except HandshakeFailed as failure:
        log.info("refuse connection", remote=peer, code="no_tls", cause=str(failure))
        return None
    return Line(secure, peer, local, secure=True)


def address_of(listener: trio.SocketListener) -> tuple[str, int]:
    """The IP address and port of a listener; the path and 0 for a Unix socket."""
    name = listener.socket.getsockname()
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else (str(name), 0)
