"""The outbox and the token bucket: small, and everything goes through them."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from voiced.conversation import events as ev
from voiced.conversation.effects import Close
from voiced.realtime.outbox import Outbox, OutboxFull
from voiced.realtime.rates import TokenBucket


def deleted(item_id: str) -> ev.ItemDeleted:
    return ev.ItemDeleted(item_id=item_id)


async def taken(outbox: Outbox) -> dict[str, object]:
    frame = await outbox.get()
    assert isinstance(frame, str)
    event: dict[str, object] = json.loads(frame)
    return event


async def test_events_come_out_in_order_each_with_an_id_of_its_own() -> None:
    outbox = Outbox("seed", 10_000)
    for name in ("one", "two", "three"):
        outbox.put(deleted(name))
    events = [await taken(outbox) for _ in range(3)]
    assert [event["item_id"] for event in events] == ["one", "two", "three"]
    assert [event["type"] for event in events] == ["conversation.item.deleted"] * 3
    ids = [str(event["event_id"]) for event in events]
    assert len(set(ids)) == 3
    assert all(i.startswith("event_seed") for i in ids)
    assert outbox.size_bytes == 0


async def test_audio_is_base64_on_the_wire() -> None:
    outbox = Outbox("s", 10_000)
    outbox.put(ev.OutputAudioDelta(response_id="r", item_id="i", delta=b"\x00\x01\x02"))
    assert (await taken(outbox))["delta"] == "AAEC"


async def test_the_bound_counts_what_has_not_been_taken() -> None:
    outbox = Outbox("s", 400)
    for _ in range(3):
        outbox.put(deleted("x"))
    with pytest.raises(OutboxFull):
        outbox.put(deleted("x" * 300))
    assert 0 < outbox.size_bytes <= 400
    await outbox.get()
    outbox.put(deleted("x"))  # there is room again


async def test_who_waits_for_room_goes_on_once_it_is_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outbox = Outbox("s", 10_000)
    outbox.put(deleted("x" * 500))
    outbox.put(deleted("y"))
    went_on = False

    async def wait() -> None:
        nonlocal went_on
        await outbox.wait_below(200)
        went_on = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert not went_on
        await outbox.get()
        await trio.testing.wait_all_tasks_blocked()
        assert went_on


async def test_who_waits_for_room_is_let_go_when_it_closes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outbox = Outbox("s", 10_000)
    outbox.put(deleted("x" * 500))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.wait_below, 10)
        await trio.testing.wait_all_tasks_blocked()
        outbox.close(Close(1001, "over"))


async def test_a_reader_waits_for_the_next_event(autojump_clock: trio.testing.MockClock) -> None:
    outbox = Outbox("s", 1000)
    async with trio.open_nursery() as nursery:

        async def put_later() -> None:
            await trio.sleep(1)
            outbox.put(deleted("late"))

        nursery.start_soon(put_later)
        assert (await taken(outbox))["item_id"] == "late"


async def test_a_cancelled_reader_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    outbox = Outbox("s", 1000)
    with trio.move_on_after(1) as waited:
        await outbox.get()
    assert waited.cancelled_caught
    outbox.put(deleted("x"))
    assert (await taken(outbox))["item_id"] == "x"


async def test_closing_comes_after_all_events_and_once_and_nothing_follows_it() -> None:
    outbox = Outbox("s", 1000)
    outbox.put(deleted("before"))
    outbox.close(Close(1001, "first"))
    outbox.close(Close(1011, "second"))
    for _ in range(100):
        outbox.put(deleted("after"))  # not even OutboxFull
    assert (await taken(outbox))["item_id"] == "before"
    assert await outbox.get() == Close(1001, "first")
    with trio.move_on_after(0.01) as waited:
        await outbox.get()
    assert waited.cancelled_caught


def test_a_bucket_allows_its_burst_then_its_rate() -> None:
    bucket = TokenBucket(rate=10, burst=5, now=0.0)
    assert [bucket.take(1, 0.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(1, 0.0) == pytest.approx(0.1)
    assert bucket.take(1, 0.0) == pytest.approx(0.2)
    assert bucket.take(1, 10.0) == 0.0


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(rate=10, burst=5, now=0.0)
    assert bucket.take(5, 1000.0) == 0.0
    assert bucket.take(1, 1000.0) > 0


def test_what_is_given_back_was_never_taken() -> None:
    bucket = TokenBucket(rate=1, burst=1, now=0.0)
    assert bucket.take(1, 0.0) == 0.0
    for _ in range(10):
        assert bucket.take(1, 0.0) == pytest.approx(1.0)
        bucket.give_back(1)
