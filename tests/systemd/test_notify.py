"""What systemd hears, on a notification socket of the test's own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from voiced.systemd.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The receiving end; a read finds what was sent before, or fails at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield receiver


def test_each_message_has_the_form_systemd_knows(systemd: socket.socket) -> None:
    notifier = Notifier()
    assert notifier.active
    notifier.extend_timeout(2.5)
    notifier.status("loading engines")
    notifier.ready("listening on port 8080")
    notifier.watchdog()
    notifier.stopping("draining")
    heard = [systemd.recv(4096).decode() for _ in range(5)]
    assert heard == [
        "EXTEND_TIMEOUT_USEC=2500000",
        "STATUS=loading engines",
        "READY=1\nSTATUS=listening on port 8080",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=draining",
    ]
    notifier.close()


def test_a_status_is_one_line_of_utf8(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.status("Küche\nREADY=1 温")
    assert systemd.recv(4096).decode("utf-8") == "STATUS=Küche READY=1 温"
    notifier.close()


def test_after_close_nothing_is_sent_and_closing_twice_is_fine(systemd: socket.socket) -> None:
    notifier = Notifier()
    notifier.close()
    notifier.close()
    notifier.watchdog()
    assert not notifier.active
    with pytest.raises(BlockingIOError):
        systemd.recv(4096)


def test_a_systemd_that_does_not_listen_cannot_stop_the_daemon(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiced.systemd.notify.SEND_TIMEOUT_S", 0.01)
    notifier = Notifier()
    for _ in range(12):  # until its queue is full by any limit, and then some
        notifier.status("x" * 100_000)
    assert systemd.recv(200_000).startswith(b"STATUS=x")
    notifier.close()


@pytest.mark.parametrize("address", [None, "", "/nonexistent/notify"])
def test_without_a_systemd_nothing_happens(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier()
    assert not notifier.active
    notifier.ready()
    notifier.close()
