"""How late a daemon's loop woke between two moments, by the histogram that it keeps of all wakes.

What the daemon tells at `/health` is of its last minute, and of one that has just begun that holds
its start too. The histogram is of its whole life: the difference of two readings is of the time
between them and of nothing else, to the ends of its buckets.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from voiced.bench.http import get_text
from voiced.errors import ClientError
from voiced.readings.daemon import LAG

if TYPE_CHECKING:
    from voiced.client.address import Address
    from voiced.supervision.lag import LagMeter


class Wakes(msgspec.Struct, frozen=True, kw_only=True):
    """How many wakes were no later than each end of a bucket, in seconds; the last one is inf."""

    no_later: dict[float, int]
    sum_s: float

    @property
    def count(self) -> int:
        return self.no_later[inf]

    @property
    def mean_ms(self) -> float:
        """NaN of none."""
        return self.sum_s / self.count * 1000 if self.count else float("nan")

    def since(self, before: Wakes) -> Wakes:
        """Those that came after another reading of the same daemon."""
        return Wakes(
            no_later={end: n - before.no_later[end] for end, n in self.no_later.items()},
            sum_s=self.sum_s - before.sum_s,
        )

    def quantile_ms(self, fraction: float) -> float:
        """The end of the bucket that the quantile lies in: it is no more than that. NaN of none,
        inf beyond the last bucket that has an end."""
        if not self.count:
            return float("nan")
        wanted = fraction * self.count
        return min(end for end, n in self.no_later.items() if n >= wanted) * 1000


async def read_wakes(address: Address) -> Wakes:
    """All since the daemon's start. Raises `ClientError`."""
    return parse_wakes(await get_text(address, "/metrics", within_s=30.0))


def wakes_of(meter: LagMeter) -> Wakes:
    """All since the meter was made."""
    lateness = meter.lateness
    return Wakes(no_later=dict(lateness.cumulative()), sum_s=lateness.sum_s)


def parse_wakes(text: str) -> Wakes:
    """The same, from the text of `/metrics`. Raises `ClientError` where it is not in there."""
    bucket, total, _ = LAG.series
    no_later: dict[float, int] = {}
    sum_s = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == bucket:
                no_later[float(sample.labels["le"])] = int(sample.value)
            elif sample.name == total:
                sum_s = sample.value
    if inf not in no_later:
        raise ClientError("/metrics does not tell how late the daemon's loop woke")
    return Wakes(no_later=no_later, sum_s=sum_s)
