"""Wrong keys: how many an address may try, so that nobody finds the token by trying."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from voiced.realtime.rates import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESSES = 4096
"""Whoever has more addresses than this gets no further by it than by using each afresh."""

NETWORK_BYTES = 8
"""One IPv6 host has a network of 2^64 addresses to itself."""


class WrongKeys:
    """Counts wrong keys by address; pure, `clock` gives seconds.

    An address that has tried `per_minute` wrong keys may try one more each `60 / per_minute` s;
    until then nothing it presents is looked at. What others present is not concerned by it.
    """

    def __init__(self, clock: Callable[[], float], per_minute: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._buckets: dict[bytes, TokenBucket] = {}  # in the order of their last wrong key

    def wait_s(self, address: str) -> float:
        """Seconds until a key from `address` is looked at; 0 when that is now."""
        bucket = self._buckets.get(_network(address))
        return 0.0 if bucket is None else bucket.take(0, self._clock())

    def count(self, address: str) -> None:
        """One wrong key came from `address`."""
        network, now = _network(address), self._clock()
        bucket = self._buckets.pop(network, None)
        if bucket is None:
            bucket = TokenBucket(rate=self._per_minute / 60, burst=self._per_minute - 1, now=now)
            if len(self._buckets) >= ADDRESSES:
                del self._buckets[next(iter(self._buckets))]
        bucket.take(1, now)
        self._buckets[network] = bucket


def _network(address: str) -> bytes:
    try:
        packed = ip_address(address).packed
    except ValueError:
        return address.encode()  # a Unix socket
    return packed if len(packed) == 4 else packed[:NETWORK_BYTES]
