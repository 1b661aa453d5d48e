"""The daemon as a process: start, signals, and everything that can keep it from starting."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest
import trio

from tests.cli.commands import run_voiced
from tests.patience import CEILING_S
from tests.realtime.live import Daemon, connected, daemon, end_daemon, start_daemon
from tests.web.harness import ask, get

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that is only just starting."""
    running = start_daemon(tmp_path)
    yield running
    end_daemon(running)


def children_of(running: Daemon) -> list[psutil.Process]:
    return psutil.Process(running.process.pid).children(recursive=True)


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=CEILING_S)
    return not alive


async def test_sigterm_closes_connections_with_1001_and_leaves_nothing(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        engines = children_of(running)
        assert len(engines) >= 3
        async with connected(running.url) as idle, connected(running.url) as busy:
            await busy.add_text("hello")
            await busy.send("response.create")
            await busy.until("response.output_audio.delta")
            running.process.send_signal(signal.SIGTERM)
            reason = await busy.close_reason()
            assert (reason.code, reason.reason) == (1001, "shutting down")
            assert busy.events[-1]["type"] == "response.done"
            assert busy.events[-1]["response"]["status"] == "failed"
            assert (await idle.close_reason()).code == 1001
        assert running.process.wait(CEILING_S) == 0
        assert all_gone(engines)
        running.told("STOPPING=1")
        assert [line["event"] for line in running.log][-1] == "stopped"
        assert "Traceback" not in running.raw_log


async def test_sigterm_does_not_wait_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    with daemon(tmp_path, VOICED_TTS__AUDIO_S="60") as running:
        stuck = await stuck_client(running)
        async with stuck:
            running.process.send_signal(signal.SIGTERM)
            assert await trio.to_thread.run_sync(running.process.wait, CEILING_S) == 0


async def stuck_client(running: Daemon) -> trio.SocketStream:
    """A connection that asks for a long answer and never reads it."""
    stream = await trio.open_tcp_stream("127.0.0.1", running.port)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await stream.send_all(
        b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    message = b'{"type":"response.create"}'
    await stream.send_all(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
    await stream.receive_some(1)  # it has been let in
    return stream


async def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        engines = children_of(running)
        async with await stuck_client(running):
            # This client never answers a Close, so the drain has to wait for it.
            running.process.send_signal(signal.SIGTERM)
            await trio.to_thread.run_sync(running.told, "STOPPING=1")
            running.process.send_signal(signal.SIGTERM)
            assert await trio.to_thread.run_sync(running.process.wait, CEILING_S) == 0
        assert all_gone(engines)
        assert "stopping at once" in [line["event"] for line in running.log]
        assert "Traceback" not in running.raw_log


def test_sigint_is_a_stop_like_any_other(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(CEILING_S) == 0


def test_sigterm_while_it_starts(starting: Daemon) -> None:
    starting.told("STATUS=loading engines")
    starting.process.send_signal(signal.SIGTERM)
    assert starting.process.wait(CEILING_S) == 0
    assert "ready" not in [line["event"] for line in starting.log]
    assert "Traceback" not in starting.raw_log


def test_it_tells_systemd_when_it_is_ready_and_not_before(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        events = [line["event"] for line in running.log]
        assert events.count("engine ready") == 3
        assert events.index("ready") > max(
            at for at, event in enumerate(events) if event == "engine ready"
        )
    assert running.heard[-1].startswith("READY=1\nSTATUS=")
    assert "STATUS=loading engines" in running.heard
    assert not any("READY" in message for message in running.heard[:-1])


async def test_every_part_with_a_heart_is_watched(tmp_path: Path) -> None:
    with daemon(tmp_path, VOICED_THERMAL__ENABLED="true") as running:
        _, _, body = (await ask(running.port, get("/health"))).partition(b"\r\n\r\n")
    health = json.loads(body)
    assert health["heart_age_s"].keys() == {
        *("engine stt", "engine llm", "engine tts"),
        *("thermal", "sessions", "audio", "door"),
    }
    assert (health["status"], health["stale"]) == ("ok", [])


async def test_asking_on_this_machine_presents_the_token_where_it_is_demanded(
    tmp_path: Path,
) -> None:
    with daemon(
        tmp_path, VOICED_AUTH__TOKEN="s3cret", VOICED_AUTH__TOKEN_ON_LOOPBACK="true"
    ) as running:
        asked = ("ask", "--text", "hello", "--url", running.url)
        without = await run_voiced(*asked)
        assert (without.returncode, without.stdout) == (1, b"")
        assert b"key" in without.stderr
        done = await run_voiced(*asked, VOICED_AUTH__TOKEN="s3cret")
    assert (done.returncode, done.stderr) == (0, b"")


async def refused_start(folder: Path, **environ: str) -> tuple[int, list[str]]:
    """The exit code and what was written, of a daemon that cannot start."""
    running = start_daemon(folder, **environ)
    try:
        with trio.fail_after(CEILING_S):
            code = await trio.to_thread.run_sync(running.process.wait, CEILING_S)
        return code, running.raw_log.splitlines()
    finally:
        end_daemon(running)


def told(lines: list[str]) -> str:
    """The one line meant for a person."""
    (line,) = (line for line in lines if line.startswith("voiced: "))
    assert "Traceback" not in "".join(lines)
    return line


async def test_the_port_is_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, lines = await refused_start(tmp_path, VOICED_SERVER__PORT=str(port))
    assert code == 1
    assert str(port) in told(lines)
    assert "in use" in told(lines)


async def test_the_state_directory_belongs_to_another_daemon(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with daemon(first) as running:
        code, lines = await refused_start(
            second, VOICED_STORE__DIRECTORY=str(first / "state"), VOICED_LOG__LEVEL="info"
        )
        assert code == 1
        assert f"process {running.process.pid}" in told(lines)
        async with connected(running.url) as client:
            assert (await client.type_in("hello"))["status"] == "completed"


async def test_the_state_directory_is_not_writable(tmp_path: Path) -> None:
    # A path that not even root can write to.
    code, lines = await refused_start(tmp_path, VOICED_STORE__DIRECTORY="/proc/voiced")
    assert code == 1
    assert "/proc/voiced" in told(lines)
    assert "store.directory" in told(lines)


@pytest.mark.parametrize(
    ("environ", "code", "words"),
    [
        ({"VOICED_STT__ENGINE": "nonsense"}, 2, ("stt.engine", "nonsense", "stub")),
        ({"VOICED_SERVER__PROT": "8080"}, 2, ("prot",)),
        ({"VOICED_SERVER__PORT": "many"}, 2, ("port",)),
        ({"VOICED_SERVER__HOST": "no.such.host.invalid"}, None, ("no.such.host.invalid",)),
        ({"VOICED_SERVER__HOST": "0.0.0.0"}, 2, ("token",)),
        ({"VOICED_LLM__ENGINE": "assistant", "VOICED_LLM__SENTENCES": "/no/file"}, None, ("/no/",)),
    ],
)
async def test_wrong_settings_are_one_clear_line(
    tmp_path: Path, environ: dict[str, str], code: int | None, words: tuple[str, ...]
) -> None:
    found, lines = await refused_start(tmp_path, **environ)
    line = told(lines).lower()
    assert all(word in line for word in words)
    assert found == code if code is not None else found in {1, 2}


def with_third_party_engine(folder: Path, load: str) -> dict[str, str]:
    """The environment of a daemon whose speech recognition comes from another package."""
    package = folder / "thirdparty-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: thirdparty\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[voiced.engines]\nstt.other = other_engine:Other\n")
    (folder / "other_engine.py").write_text(
        "import time\n"
        "from voiced.errors import ModelError\n"
        "class Other:\n"
        "    def __init__(self, options): pass\n"
        f"    def load(self): {load}\n"
    )
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", os.getcwd())])
    return {"VOICED_STT__ENGINE": "other", "PYTHONPATH": path}


async def test_a_model_that_is_missing_is_named(tmp_path: Path) -> None:
    environ = with_third_party_engine(
        tmp_path, "raise ModelError('/models/small.bin: no such file')"
    )
    code, lines = await refused_start(tmp_path, **environ)
    assert code == 1
    assert "/models/small.bin: no such file" in told(lines)


def test_sigterm_while_a_model_loads_and_loads(tmp_path: Path) -> None:
    running = start_daemon(tmp_path, **with_third_party_engine(tmp_path, "time.sleep(600)"))
    try:
        running.told("STATUS=loading engines")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(CEILING_S) == 0
        assert "Traceback" not in running.raw_log
    finally:
        end_daemon(running)


def plain_environment(home: Path) -> dict[str, str]:
    """As of a person who has set nothing but the engines."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VOICED_", "NOTIFY_"))}
    return {
        **kept,
        "HOME": str(home),
        "VOICED_SERVER__PORT": "0",
        "VOICED_STT__ENGINE": "stub",
        "VOICED_TTS__ENGINE": "stub",
        "VOICED_LLM__ENGINE": "stub",
    }


@contextmanager
def served(home: Path, stdout: int, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """`voiced serve` with a standard output of one's own; it must stop well by SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "voiced", "serve"],
        env={**plain_environment(home), **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(CEILING_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        if process.stdout is not None:
            process.stdout.close()


def wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if b"ready" in line and b"engine" not in line:
            return
    raise AssertionError("never ready")


def test_it_starts_without_systemd_and_without_settings(tmp_path: Path) -> None:
    """As a person does it, whose standard error is a pipe."""
    with served(tmp_path, subprocess.DEVNULL) as process:
        wait_until_ready(process)
    assert (tmp_path / ".local/state/voiced").is_dir()


def test_it_writes_where_it_listens_and_to_a_program_nothing_else(tmp_path: Path) -> None:
    with served(tmp_path, subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert re.fullmatch(r"voiced listens at ws://127\.0\.0\.1:\d+/v1/realtime\n", line)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b""


def test_at_a_terminal_it_says_what_to_try_next(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with served(tmp_path, theirs), open(ours, "rb", buffering=0, closefd=False) as terminal:
            said = b""
            while said.count(b"\n") < 2:
                said += terminal.read(4096)
    finally:
        os.close(ours)
        os.close(theirs)
    first, second = said.decode().splitlines()
    assert first.startswith("voiced listens at ws://")
    url = first.removeprefix("voiced listens at ")
    assert second.endswith(f' ask --url {url} --text "what time is it"')


def test_the_journal_has_it_from_the_log_alone(tmp_path: Path) -> None:
    output = tmp_path / "journal"
    with output.open("wb") as journal:
        status = os.fstat(journal.fileno())
        stream = f"{status.st_dev}:{status.st_ino}"
        with served(tmp_path, journal.fileno(), JOURNAL_STREAM=stream) as process:
            wait_until_ready(process)
    assert output.read_bytes() == b""


def test_an_output_that_nobody_reads_does_not_end_it(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with served(tmp_path, writer) as process:
            wait_until_ready(process)
    finally:
        os.close(writer)
