"""A daemon of the bench's own: a process with settings by environment and a state of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.bench.http import get_json
from voiced.client.address import Address, parse_address
from voiced.errors import ClientError, StartupError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

_START_S: Final = 120.0
_STOP_S: Final = 10.0
_REAP_S: Final = 2.0
_POLL_S: Final = 0.05
_LOG_TAIL_BYTES: Final = 2_000

TIED: Final = (sys.executable, "-m", "voiced.bench.tied")
"""Runs a module that ends with this process, however that ends."""

# A bench is one address that opens many connections and sends without the pauses of a person.
RAISED_LIMITS: Final = {
    "VOICED_LIMITS__CONNECTIONS_PER_ADDRESS": "100000",
    "VOICED_LIMITS__SESSIONS": "100000",
    "VOICED_LIMITS__PENDING_CONNECTIONS": "1024",
    "VOICED_LIMITS__EVENTS_PER_MINUTE": "1000000",
    "VOICED_LOG__LEVEL": "warning",
}

STUB_MS: Final = {"stt": 100.0, "llm": 100.0, "tts": 50.0}


def stub_engines(
    *, stt_ms: float = 100.0, llm_ms: float = 100.0, tts_ms: float = 50.0, audio_s: float = 1.0
) -> dict[str, str]:
    """Settings that replace recognition, assistant and synthesis by stubs of fixed delay."""
    return {
        "VOICED_STT__ENGINE": "stub",
        "VOICED_STT__FIRST_MS": f"{stt_ms:g}",
        "VOICED_LLM__ENGINE": "stub",
        "VOICED_LLM__FIRST_MS": f"{llm_ms:g}",
        "VOICED_TTS__ENGINE": "stub",
        "VOICED_TTS__FIRST_MS": f"{tts_ms:g}",
        "VOICED_TTS__AUDIO_S": f"{audio_s:g}",
    }


class Daemon(msgspec.Struct, frozen=True):
    """A daemon to measure. `pid` is None for one that was there before."""

    url: str
    token: str = ""
    pid: int | None = None

    @property
    def address(self) -> Address:
        return parse_address(self.url)


@asynccontextmanager
async def open_daemon(
    environ: Mapping[str, str], *, config: Path | None = None, module: str = "voiced"
) -> AsyncGenerator[Daemon, None]:
    """Start `voiced serve` with `environ` on a free port of loopback, and wait until it is ready.
    Another `module` takes the same arguments.

    The settings are those of the file `config`, if one is given, and of `environ`, which wins.
    Other `VOICED_` variables and any other file are kept from it, so that the figures are those of
    known settings. Raises `StartupError` with the end of its log where it does not become ready.
    Ended with SIGTERM, then SIGKILL after 10 s, when the context is left; at once when this process
    is killed.
    """
    port = _free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VOICED_")}
    with tempfile.TemporaryDirectory(prefix="voiced-bench-") as directory:
        place = Path(directory)
        if config is None:
            config = place / "voiced.toml"
            config.touch()
        settings = {
            "VOICED_SERVER__PORT": str(port),
            "VOICED_STORE__DIRECTORY": str(place / "state"),
            **RAISED_LIMITS,
            **environ,
        }
        log_path = place / "log"
        with log_path.open("wb") as log:
            process = await trio.lowlevel.open_process(
                [*TIED, module, "serve", "--config", str(config)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**kept, **settings},
                start_new_session=True,
            )
        try:
            daemon = Daemon(f"ws://127.0.0.1:{port}/v1/realtime", pid=process.pid)
            await _wait_ready(daemon, process, log_path)
            yield daemon
        finally:
            await end_process(process, polite_s=_STOP_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _wait_ready(daemon: Daemon, process: trio.Process, log_path: Path) -> None:
    with trio.move_on_after(_START_S):
        while process.poll() is None:
            try:
                if (await get_json(daemon.address, "/ready")).get("ready"):
                    return
            except ClientError:
                # It does not listen yet.
                pass
            await trio.sleep(_POLL_S)
    tail = await trio.Path(log_path).read_bytes()
    said = tail[-_LOG_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
    last = said[-1] if said else "it said nothing"
    raise StartupError(f"the daemon to measure did not become ready: {last}")


async def end_process(process: trio.Process, *, polite_s: float = 0.0) -> None:
    """SIGTERM, SIGKILL after `polite_s`, at once where that is 0; reap it and close its pipes.

    Runs to its end when cancelled; one that not even SIGKILL ends, which hangs in the kernel, is
    left after 2 s. What a daemon has started notices that its parent is gone.
    """
    if polite_s > 0 and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(polite_s, shield=True):
            await process.wait()
    if process.poll() is None:
        process.kill()
    with trio.move_on_after(_REAP_S, shield=True):
        await process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with trio.move_on_after(_REAP_S, shield=True):
                await trio.aclose_forcefully(stream)
