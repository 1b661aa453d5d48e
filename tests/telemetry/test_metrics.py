"""`Metrics`: sources that are read when somebody scrapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from structlog.testing import capture_logs

from voiced.readings.families import gauge
from voiced.telemetry.metrics import PORTION, Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def names(text: bytes) -> list[str]:
    """Those of the metrics in an OpenMetrics text."""
    families = openmetrics(text.decode())  # type: ignore[no-untyped-call]  # theirs has no types
    return [family.name for family in families]


async def test_a_source_is_asked_at_each_scrape_and_at_no_other_time() -> None:
    asked = 0

    def source() -> Iterator[GaugeMetricFamily]:
        nonlocal asked
        asked += 1
        yield GaugeMetricFamily("voiced_asked", "How often.", value=asked)

    metrics = Metrics()
    metrics.add_source(source)
    assert asked == 0
    for time in (1, 2):
        text, content_type = await metrics.expose()
        assert content_type.startswith("text/plain")
        assert [family.samples[0].value for family in plain(text.decode())] == [time]


async def test_who_asks_for_openmetrics_gets_that() -> None:
    metrics = Metrics()
    metrics.add_source(lambda: [GaugeMetricFamily("voiced_one", "One.", value=1)])
    text, content_type = await metrics.expose("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert names(text) == ["voiced_one"]


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
@pytest.mark.parametrize("count", [0, 1, PORTION, PORTION + 1, 3 * PORTION])
async def test_a_metric_of_many_samples_is_whole_and_others_run_meanwhile(
    count: int, accept: str
) -> None:
    labelled = [((str(number),), float(number)) for number in range(count)]
    metrics = Metrics()
    metrics.add_source(lambda: [gauge("many", "Many.", "number").of(labelled)])
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        await trio.lowlevel.checkpoint()
        turns = 0
        text, _ = await metrics.expose(accept)
        assert turns >= count // PORTION - 1  # whose turn is first is chance
        nursery.cancel_scope.cancel(reason="it is written")
    (family,) = list(plain(text.decode())) if not accept else openmetrics(text.decode())  # type: ignore[no-untyped-call]  # theirs has no types
    assert {sample.labels["number"]: sample.value for sample in family.samples} == {
        name: value for (name,), value in labelled
    }
    assert text.count(b"# TYPE") == text.count(b"# HELP") == 1


async def test_a_source_that_fails_leaves_the_others() -> None:
    def broken() -> Iterator[Metric]:
        yield gauge("before", "Before.").alone(1)
        raise RuntimeError("a bug")

    metrics = Metrics()
    metrics.add_source(broken)
    metrics.add_source(lambda: [gauge("after", "After.").alone(2)])
    with capture_logs() as log:
        text, _ = await metrics.expose(OPENMETRICS)
    assert names(text) == ["voiced_before", "voiced_after"]
    assert [line["event"] for line in log] == ["metrics are missing"]
