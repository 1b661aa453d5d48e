"""`Metrics`: sources that are read when somebody scrapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from voiced.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator


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
