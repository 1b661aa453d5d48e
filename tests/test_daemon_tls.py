"""The daemon with TLS, as a process: its clients, a renewed certificate, files that are wrong."""

from __future__ import annotations

import json
import signal
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio

from tests.certificates import certify
from tests.cli.commands import run_voiced
from tests.patience import CEILING_S
from tests.realtime.live import (
    connected,
    daemon,
    end_daemon,
    secure_daemon,
    start_daemon,
)
from tests.web.harness import ask, connect_tls, get

if TYPE_CHECKING:
    from pathlib import Path

    from tests.realtime.live import Daemon

WARNING = "certificate is not valid"


async def test_a_turn_over_tls_and_a_stop_in_due_form(tmp_path: Path) -> None:
    with secure_daemon(tmp_path) as running:
        async with (
            connected(running.secure_url, ca=running.ca) as secure,
            connected(running.url) as plain,
        ):
            assert (await secure.type_in("hello"))["status"] == "completed"
            assert (await plain.type_in("hello"))["status"] == "completed"
            trusted = ssl.create_default_context(cafile=running.ca)
            health = await ask(running.secure_port, get(), trusted)
            assert json.loads(health.partition(b"\r\n\r\n")[2])["sessions"] == 2
            running.process.send_signal(signal.SIGTERM)
            for client in (secure, plain):
                reason = await client.close_reason()
                assert (reason.code, reason.reason) == (1001, "shutting down")
        assert running.process.wait(CEILING_S) == 0
        assert "Traceback" not in running.raw_log
        # A machine that stood still for a moment is worth a warning, and no fault of the daemon.
        unusual = [line for line in running.log if line["level"] not in {"debug", "info"}]
        assert {line["event"] for line in unusual} <= {"wake late"}


async def test_the_command_line_asks_over_tls(tmp_path: Path) -> None:
    with secure_daemon(tmp_path) as running:
        asked = ("ask", "--text", "hello", "--url", running.secure_url)
        ca = str(running.ca)
        named = await run_voiced(*asked, "--ca", ca)
        assert (named.returncode, named.stderr) == (0, b"")
        found = await run_voiced(*asked, SSL_CERT_FILE=ca)
        assert (found.returncode, found.stderr) == (0, b"")
        distrusted = await run_voiced(*asked)
        assert distrusted.returncode == 1
        assert b"not trusted" in distrusted.stderr
        assert b"--ca" in distrusted.stderr
        elsewhere = f"wss://127.0.0.1:{running.port}/v1/realtime"
        plain = await run_voiced("ask", "--text", "hello", "--url", elsewhere)
        assert b"does not speak TLS" in plain.stderr
        backwards = f"ws://127.0.0.1:{running.secure_port}/v1/realtime"
        refused = await run_voiced("ask", "--text", "hello", "--url", backwards)
        assert b"wss://" in refused.stderr
        absent = await run_voiced(*asked, "--ca", str(tmp_path / "absent.pem"))
        assert absent.returncode == 2
        assert absent.stderr.count(b"\n") == 1
        assert b"absent.pem" in absent.stderr


async def serial(running: Daemon, *authorities: Path) -> str:
    """The serial number of the certificate that the daemon shows now."""
    trusted = ssl.create_default_context()
    for authority in authorities:
        trusted.load_verify_locations(authority)
    stream = await connect_tls(running.secure_port, trusted)
    shown: dict[str, str] = stream.getpeercert()
    await stream.aclose()
    return shown["serialNumber"]


async def serial_of_renewed(running: Daemon, authority: Path) -> str:
    """That of the certificate that `authority` has signed, once it is shown."""
    with trio.fail_after(CEILING_S):
        while True:
            with suppress(trio.BrokenResourceError):
                return await serial(running, authority)
            await trio.sleep(0.02)


async def logged(running: Daemon, event: str) -> None:
    with trio.fail_after(CEILING_S):
        while event not in [line["event"] for line in running.log]:  # noqa: ASYNC110  # another process
            await trio.sleep(0.02)


async def test_sighup_takes_a_new_certificate_and_disturbs_nobody(tmp_path: Path) -> None:
    old = certify(tmp_path / "old")
    new = certify(tmp_path / "new")
    with daemon(tmp_path, old) as running:
        async with connected(running.secure_url, ca=old.ca) as client:
            first = await serial(running, old.ca)
            old.cert.write_text("half written")
            running.process.send_signal(signal.SIGHUP)
            await logged(running, "keeping the old certificate")
            assert await serial(running, old.ca) == first
            old.cert.write_bytes(new.cert.read_bytes())
            old.key.write_bytes(new.key.read_bytes())
            running.process.send_signal(signal.SIGHUP)
            await logged(running, "reloaded the certificate")
            assert await serial(running, new.ca) != first
            assert (await client.type_in("still here?"))["status"] == "completed"


async def test_a_certificate_that_has_expired_is_told_at_the_start_and_after_sighup(
    tmp_path: Path,
) -> None:
    expired = certify(tmp_path / "expired", begins_days=-30, ends_days=-1)
    fresh = certify(tmp_path / "fresh")

    def warnings(running: Daemon) -> list[str]:
        return [line["cause"] for line in running.log if line["event"] == WARNING]

    with daemon(tmp_path, expired) as running:
        (first,) = warnings(running)
        assert "expired on" in first
        running.process.send_signal(signal.SIGHUP)
        with trio.fail_after(CEILING_S):
            while warnings(running) != [first, first]:  # noqa: ASYNC110  # another process
                await trio.sleep(0.02)
        expired.cert.write_bytes(fresh.cert.read_bytes())
        expired.key.write_bytes(fresh.key.read_bytes())
        running.process.send_signal(signal.SIGHUP)
        await serial_of_renewed(running, fresh.ca)
        assert warnings(running) == [first, first]


def test_sighup_without_tls_ends_nothing(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        running.process.send_signal(signal.SIGHUP)
        trio.run(logged, running, "nothing to reload")
        assert running.stop() == 0


@pytest.mark.parametrize("wrong", ["cert", "key"])
async def test_files_that_are_wrong_are_one_line_before_ready(tmp_path: Path, wrong: str) -> None:
    certified = certify(tmp_path / "tls")
    path = getattr(certified, wrong)
    path.write_text("nonsense")
    running = start_daemon(tmp_path, certified)
    try:
        with trio.fail_after(CEILING_S):
            assert await trio.to_thread.run_sync(running.process.wait, CEILING_S) == 2
        (line,) = running.raw_log.splitlines()
    finally:
        end_daemon(running)
    assert f"server.tls_{wrong}" in line
    assert str(path) in line


async def test_the_tls_port_is_in_use(tmp_path: Path) -> None:
    with secure_daemon(tmp_path) as first:
        assert first.certified is not None
        (second := tmp_path / "second").mkdir()
        port = str(first.secure_port)
        running = start_daemon(second, first.certified, VOICED_SERVER__TLS_PORT=port)
        try:
            assert await trio.to_thread.run_sync(running.process.wait, CEILING_S) == 1
            (line,) = running.raw_log.splitlines()
        finally:
            end_daemon(running)
    assert port in line
    assert "server.tls_port" in line
