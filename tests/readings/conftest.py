"""A daemon in which something has happened, and what it shows to Prometheus."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
import trio
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.patience import CEILING_S
from tests.realtime.live import connected, daemon, make_speech

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from tests.realtime.live import Daemon

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
OWN_ENGINES = {
    "VOICED_STT__ENGINE": "phrases",
    "VOICED_LLM__ENGINE": "assistant",
    "VOICED_TTS__ENGINE": "espeak",
}


@pytest.fixture(scope="package")
def busy_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """It has answered a spoken turn and a typed one, and refused what makes no sense."""
    folder = tmp_path_factory.mktemp("readings")
    with daemon(folder, **OWN_ENGINES) as running:
        trio.run(converse, running.url, make_speech(folder))
        with pytest.raises(urllib.error.HTTPError):
            fetch(running, "/v1/engines/nobody")
        yield running
        assert running.stop() == 0
        assert [line for line in running.log if line["level"] in {"error", "critical"}] == []


@pytest.fixture(scope="package")
def scraped(busy_daemon: Daemon) -> dict[str, Metric]:
    """The metrics of that daemon by name, as OpenMetrics has it (`_total` is no part of it)."""
    text, _ = fetch(busy_daemon, "/metrics", OPENMETRICS)
    return {family.name: family for family in parse(text)}


def parse(text: str) -> list[Metric]:
    """An OpenMetrics text. Raises `ValueError` where it is none."""
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # theirs has no types
    return list(families)


def fetch(running: Daemon, path: str, accept: str = "") -> tuple[str, str]:
    """A body and its media type."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}{path}", headers={"Accept": accept}
    )
    with urllib.request.urlopen(request, timeout=CEILING_S) as response:
        return response.read().decode(), response.headers["Content-Type"]


async def converse(url: str, speech: bytes) -> None:
    """Two turns, and a mistake."""
    with trio.fail_after(CEILING_S):
        async with connected(url) as client:
            await client.speak(speech + bytes(48_000))
            await client.until("response.done")
            await client.type_in("what time is it")
            await client.send("response.cancel")
            await client.error()
