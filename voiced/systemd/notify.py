"""Telling systemd how the daemon fares, over the socket of `$NOTIFY_SOCKET`."""

from __future__ import annotations

import os
import socket

from sdnotify import SystemdNotifier

# systemd's queue is empty but for moments; the loop may wait this long for it, and no longer.
SEND_TIMEOUT_S = 0.2


class Notifier:
    """Messages of sd_notify(3). Each does nothing where systemd did not start the daemon.

    A message takes a few microseconds; where systemd does not take it in time it is lost, for
    nothing here may stop the daemon. `close` it at the end; closing twice is fine.
    """

    def __init__(self) -> None:
        # sdnotify opens a socket also where there is nobody to talk to, and leaks it then.
        self._systemd = SystemdNotifier() if _listens(os.environ.get("NOTIFY_SOCKET")) else None
        if self._systemd is not None:
            self._systemd.socket.settimeout(SEND_TIMEOUT_S)

    @property
    def active(self) -> bool:
        """True where there is a systemd to tell."""
        return self._systemd is not None

    def ready(self, status: str = "") -> None:
        """Start-up is done: units that wait for this one may start."""
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """What `systemctl status` shows; one line."""
        self._send(*_status(text))

    def stopping(self, status: str = "") -> None:
        """The daemon has begun to stop."""
        self._send("STOPPING=1", *_status(status))

    def watchdog(self) -> None:
        """All is well; due more often than the unit's WatchdogSec."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Start-up or stopping needs up to `seconds` more, counted from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def close(self) -> None:
        """Close the socket; every later message does nothing."""
        if self._systemd is not None:
            self._systemd.socket.close()
            self._systemd = None

    def _send(self, *lines: str) -> None:
        if self._systemd is not None and lines:
            # sdnotify encodes as Latin-1, but systemd drops what is not UTF-8.
            self._systemd.notify("\n".join(lines).encode().decode("latin-1"))


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.split())}",) if text else ()


def _listens(address: str | None) -> bool:
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect("\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return False
    return True
