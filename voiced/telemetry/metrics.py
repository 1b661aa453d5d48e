"""What `/metrics` tells, in a registry of our own.

Nothing is counted here. Each part of the daemon knows its own figures and hands in a source, which
is read when somebody scrapes: so nothing is counted twice, and nothing costs while nobody looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric

    Source = Callable[[], Iterable[Metric]]


class Metrics(Collector):
    """The metrics of one daemon."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def add_source(self, source: Source) -> None:
        """Have `source` asked at each scrape, on the daemon's thread: it must not wait."""
        self._sources.append(source)

    def collect(self) -> Iterable[Metric]:
        """All that the sources tell."""
        for source in self._sources:
            yield from source()

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics now, and their media type: OpenMetrics where `accept`, an HTTP header, asks
        for that, and else Prometheus' own text."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
