"""Request bodies that come slowly: how long they are waited for. The clock jumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.web.harness import make_settings
from voiced.web.gate import Exchange

if TYPE_CHECKING:
    from trio.testing import MockClock

    from voiced.web.gate import Message

SETTINGS = make_settings(server={"body_timeout_s": 30.0}, limits={"body_bytes_s": 500})


async def take(size: int, every_s: float, portions: int, *, busy_s: float = 0.0) -> int:
    """Portions of a body that got through until it was refused, or was complete.

    The client sends one each `every_s`, the application takes `busy_s` over each.
    """
    answered: list[int] = []
    sent = 0

    async def receive() -> Message:
        nonlocal sent
        await trio.sleep(every_s)
        sent += 1
        return {"type": "http.request", "body": bytes(size), "more_body": sent < portions}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    exchange = Exchange(receive, send, SETTINGS)
    for taken in range(portions):
        if (await exchange.receive())["type"] == "http.disconnect":
            assert answered == [408]
            return taken
        await trio.sleep(busy_s)
    assert answered == []
    return portions


@pytest.mark.parametrize(
    ("size", "every_s", "portions", "busy_s", "through"),
    [
        (1, 29.0, 100, 0.0, 1),  # never stalls, and would hold its place for most of an hour
        (100, 1.0, 1_000, 0.0, 37),
        (1, 31.0, 3, 0.0, 0),
        (500, 1.0, 1_000, 0.0, 1_000),
        (14_500, 29.0, 100, 0.0, 100),
        (65_536, 0.01, 10, 600.0, 10),  # it is us who are slow
    ],
)
async def test_what_comes_too_slowly_on_the_whole_is_refused(
    size: int,
    every_s: float,
    portions: int,
    busy_s: float,
    through: int,
    autojump_clock: MockClock,
) -> None:
    assert await take(size, every_s, portions, busy_s=busy_s) == through


async def test_what_came_fast_at_first_may_not_dribble_for_days(
    autojump_clock: MockClock,
) -> None:
    sizes = iter([100_000_000, *[1] * 100])

    async def receive() -> Message:
        size = next(sizes)
        await trio.sleep(0.1 if size > 1 else 20.0)
        return {"type": "http.request", "body": bytes(size), "more_body": True}

    async def send(message: Message) -> None:
        pass

    exchange = Exchange(receive, send, SETTINGS)
    kinds = [(await exchange.receive())["type"] for _ in range(3)]
    assert kinds == ["http.request", "http.request", "http.disconnect"]
