"""What `/metrics` tells, in a registry of our own.

Nothing is counted here. Each part of the daemon knows its own figures and hands in a source, which
is read when somebody scrapes: so nothing is counted twice, and nothing costs while nobody looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Source = Callable[[], Iterable[Metric]]
    Encoder = Callable[[Collector], bytes]

log = structlog.get_logger(__name__)

END = b"# EOF\n"
"""What closes an OpenMetrics text."""

HEAD_LINES = 2
"""What stands above the samples of a metric: its meaning and its type."""

PORTION = 64
"""Samples written in one go: about half a millisecond."""


class Metrics(Collector):
    """The metrics of one daemon."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def add_source(self, source: Source) -> None:
        """Have `source` asked at each scrape, on the daemon's thread: it must not wait, and must
        be done with what it looks at before it hands over a metric. One that fails is logged, and
        its metrics are missing."""
        self._sources.append(source)

    def collect(self) -> Iterable[Metric]:
        """All that the sources tell."""
        for source in self._sources:
            try:
                yield from source()
            except Exception:
                log.exception("metrics are missing")

    async def expose(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics now, and their media type: OpenMetrics where `accept`, an HTTP header, asks
        for that, and else Prometheus' own text.

        Others run in between: written in one go, all of it would hold up the audio of every session
        for some milliseconds.
        """
        encode, content_type = encoder_for(accept)
        parts = []
        for metric in self.collect():
            for number, portion in enumerate(portions(metric)):
                text = encode(_One(portion)).removesuffix(END)
                parts.append(text.split(b"\n", HEAD_LINES)[HEAD_LINES] if number else text)
                await trio.lowlevel.checkpoint()
        if content_type.startswith("application/openmetrics-text"):
            parts.append(END)
        return b"".join(parts), content_type


def portions(metric: Metric) -> Iterator[Metric]:
    """A metric in metrics of no more than `PORTION` samples each."""
    if len(metric.samples) <= PORTION:
        yield metric
        return
    for start in range(0, len(metric.samples), PORTION):
        portion = Metric(metric.name, metric.documentation, metric.type)
        portion.samples = metric.samples[start : start + PORTION]
        yield portion


class _One(Collector):
    """A registry of one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def encoder_for(accept: str) -> tuple[Encoder, str]:
    """The form for somebody who accepts that. Weights are not looked at: who can read OpenMetrics
    has it, as Prometheus wants it, and what makes no sense gets the plain form."""
    media = {kind.partition(";")[0].strip().lower() for kind in accept.split(",")}
    if "application/openmetrics-text" in media:
        return openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest, CONTENT_TYPE_PLAIN_0_0_4
