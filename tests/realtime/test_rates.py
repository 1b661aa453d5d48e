"""The token bucket: what it allows, and what it says is left."""

from __future__ import annotations

from voiced.realtime.rates import TokenBucket


def test_a_bucket_says_what_is_left_and_when_it_is_full() -> None:
    bucket = TokenBucket(rate=2.0, burst=10, now=100.0)
    assert bucket.left(100.0) == (10, 0.0)
    assert bucket.take(7, 100.0) == 0
    assert bucket.left(100.0) == (3, 3.5)
    assert bucket.left(101.25) == (5, 2.25)
    assert bucket.left(200.0) == (10, 0.0)
    assert bucket.take(20, 200.0) == 5.0
    assert bucket.left(200.0) == (0, 10.0)
