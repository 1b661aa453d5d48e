"""The ports of the front door: one plain, one with TLS where a certificate is named."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import structlog
import trio

from voiced.errors import SettingsError
from voiced.web.streams import open_listeners
from voiced.web.tls import FileCertificate, find_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voiced.settings import Settings

log = structlog.get_logger(__name__)


class Ports(msgspec.Struct, frozen=True):
    """The listening sockets, plain and with TLS, and the certificate of the latter."""

    plain: list[trio.SocketListener]
    secure: list[trio.SocketListener]
    certificate: FileCertificate | None


@asynccontextmanager
async def open_ports(settings: Settings) -> AsyncIterator[Ports]:
    """Listen, before anything slow is started: a port in use or a bad certificate is said at once.

    Raises `StartupError` and `SettingsError`. Nobody is served until there is a door; leaving
    closes whatever is open still.
    """
    server, send_timeout_s = settings.server, settings.limits.send_timeout_s
    ports = Ports([], [], find_certificate(server))
    try:
        ports.plain.extend(
            await open_listeners(server.host, server.port, send_timeout_s=send_timeout_s)
        )
        if ports.certificate is not None:
            ports.secure.extend(
                await open_listeners(
                    server.host,
                    server.tls_port,
                    send_timeout_s=send_timeout_s,
                    setting="server.tls_port",
                )
            )
        warn_of(ports.certificate)
        yield ports
    finally:
        for listener in (*ports.plain, *ports.secure):
            listener.socket.close()


async def serve_reload(
    ports: Ports, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Read the certificate again on each SIGHUP; one that cannot be used changes nothing."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            if ports.certificate is None:
                log.info(
                    "nothing to reload", cause="TLS is off; settings are read when voiced starts"
                )
                continue
            try:
                await trio.to_thread.run_sync(ports.certificate.reload)
            except SettingsError as error:
                log.error("keeping the old certificate", cause=str(error))
            else:
                log.info("reloaded the certificate")
                warn_of(ports.certificate)


def warn_of(certificate: FileCertificate | None) -> None:
    """Log, once, that clients will refuse the certificate, where they will."""
    if certificate is not None and (warning := certificate.warning()):
        log.warning("certificate is not valid", cause=warning)
