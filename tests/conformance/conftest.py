"""Two daemons for all checks: one whose engines are stubs, and one that understands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.checking import REPLY, Door
from tests.realtime.live import Daemon, make_speech, secure_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = {"VOICED_LIMITS__CONNECTIONS_PER_ADDRESS": "100"}


def _content(running: Daemon) -> None:
    """End it; its log must show that nothing ever went wrong inside."""
    assert running.stop() == 0
    assert "Traceback" not in running.raw_log
    assert [line for line in running.log if line["level"] in {"error", "critical"}] == []


@pytest.fixture(scope="package")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Says `REPLY` to everything, which takes 1.5 s; pings a quiet client very often."""
    environ = {
        **MANY,
        "VOICED_LLM__REPLY": REPLY,
        "VOICED_TTS__AUDIO_S": "0.75",
        "VOICED_SESSION__PING_S": "0.3",
    }
    with secure_daemon(tmp_path_factory.mktemp("stubs"), **environ) as running:
        yield running
        _content(running)


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Understands as it does by default; its voice is a tone of 0.75 s a clause."""
    environ = {
        **MANY,
        "VOICED_STT__ENGINE": "phrases",
        "VOICED_LLM__ENGINE": "assistant",
        "VOICED_TTS__AUDIO_S": "0.75",
    }
    with secure_daemon(tmp_path_factory.mktemp("house"), **environ) as running:
        yield running
        _content(running)


@pytest.fixture(params=["ws", "wss"])
def door(stubs: Daemon, request: pytest.FixtureRequest) -> Door:
    return Door(stubs, secure=request.param == "wss")


@pytest.fixture(params=["ws", "wss"])
def house_door(house: Daemon, request: pytest.FixtureRequest) -> Door:
    return Door(house, secure=request.param == "wss")


@pytest.fixture
def plain_door(stubs: Daemon) -> Door:
    """For checks that last as long as speech does."""
    return Door(stubs, secure=False)


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sentence in 24 kHz PCM16."""
    return make_speech(tmp_path_factory.mktemp("speech"))
