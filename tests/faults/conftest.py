"""One daemon for the tests of a module; each test brings its own trouble to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.realtime.live import Daemon, daemon, make_speech

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRON = {
    "VOICED_TTS__AUDIO_S": "0.5",
    "VOICED_SERVER__HEAD_TIMEOUT_S": "1",
    "VOICED_LIMITS__SEND_TIMEOUT_S": "1",
    "VOICED_LIMITS__CONNECTIONS_PER_ADDRESS": "100",
}


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Afterwards it must stop in an orderly way, without ever having logged a traceback."""
    with daemon(tmp_path_factory.mktemp("daemon"), **ENVIRON) as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.raw_log
        assert [line for line in running.log if line["level"] in {"error", "critical"}] == []


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sentence in 24 kHz PCM16, which the real voice activity detection takes for one."""
    return make_speech(tmp_path_factory.mktemp("speech"))
