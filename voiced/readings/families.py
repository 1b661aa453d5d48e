"""What a metric is called, what it means, and which labels it has.

The names follow Prometheus' conventions: base units, `_total` behind what only grows. Labels have
few values, and all of them words of ours or names out of the settings: never an id of a session,
and nothing that anybody said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voiced.telemetry.distribution import Distribution

    Labelled = Iterable[tuple[tuple[str, ...], float]]

PREFIX = "voiced_"


class Family(Struct, frozen=True):
    """One metric. `name` is as it is written in a query, of a histogram without its endings."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()

    def of(self, samples: Labelled) -> Metric:
        """A gauge or a counter with these values, each with the values of its labels."""
        metric = Metric(self.name.removesuffix("_total"), self.help, self.kind)
        for values, value in samples:
            metric.add_sample(self.name, dict(zip(self.labels, values, strict=True)), value)
        return metric

    def alone(self, value: float | None) -> Metric:
        """A gauge or a counter without labels; no value where nothing is known."""
        return self.of([] if value is None else [((), value)])

    def spread(self, series: Iterable[tuple[tuple[str, ...], Distribution]]) -> Metric:
        """A histogram of these."""
        metric = Metric(self.name, self.help, self.kind)
        for values, distribution in series:
            labels = dict(zip(self.labels, values, strict=True))
            for bound, count in distribution.cumulative():
                bucket = {**labels, "le": str(floatToGoString(bound))}  # type: ignore[no-untyped-call]  # theirs has no types
                metric.add_sample(f"{self.name}_bucket", bucket, count)
            metric.add_sample(f"{self.name}_sum", labels, distribution.sum_s)
            metric.add_sample(f"{self.name}_count", labels, distribution.count)
        return metric

    @property
    def series(self) -> tuple[str, ...]:
        """The names that can be asked for."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{ending}" for ending in ("bucket", "sum", "count"))
        return (self.name,)


def gauge(name: str, text: str, *labels: str) -> Family:
    """Something that rises and falls."""
    return Family(PREFIX + name, "gauge", text, labels)


def counter(name: str, text: str, *labels: str) -> Family:
    """Something that only grows, while the daemon runs."""
    return Family(f"{PREFIX}{name}_total", "counter", text, labels)


def histogram(name: str, text: str, *labels: str) -> Family:
    """Durations."""
    return Family(PREFIX + name, "histogram", text, labels)
