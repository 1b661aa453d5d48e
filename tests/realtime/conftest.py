"""One daemon and one utterance for all the tests of a module that need no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.realtime.live import Daemon, daemon, make_speech

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Speaks for 1.5 s, in two clauses; afterwards its log must hold no traceback."""
    folder = tmp_path_factory.mktemp("daemon")
    environ = {
        "VOICED_LLM__REPLY": "This is the first clause. And this is the second one.",
        "VOICED_TTS__AUDIO_S": "0.75",
        "VOICED_LIMITS__CONNECTIONS_PER_ADDRESS": "100",
    }
    with daemon(folder, **environ) as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.raw_log
        assert [line for line in running.log if line["level"] in {"error", "critical"}] == []


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sentence in 24 kHz PCM16."""
    return make_speech(tmp_path_factory.mktemp("speech"))
