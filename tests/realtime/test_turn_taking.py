"""When a turn ends and whether a sound is one: sessions on fakes, on a clock of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.realtime.fakes import FakeStt, Talk, silence, speech, talking
from voiced.engines.ports import Partial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

STARTED = "input_audio_buffer.speech_started"
STOPPED = "input_audio_buffer.speech_stopped"
COMMITTED = "input_audio_buffer.committed"


def semantic(**fields: object) -> dict[str, Any]:
    detection = {"type": "semantic_vad", "create_response": False, **fields}
    return {"input": {"turn_detection": detection}}


async def taken_in(talk: Talk, *parts: bytes) -> list[dict[str, Any]]:
    """Say this at the pace of speech, and everything that comes of it."""
    for part in parts:
        await talk.hear(part)
    return await talk.rest()


async def silence_after(
    partials: Sequence[str | Partial], **fields: object
) -> tuple[float, FakeStt]:
    """How long a silence ended the turn, in ms, when that was heard."""
    stt = FakeStt(partials=partials)
    async with talking(stt=stt) as talk:
        talk.configure(audio=semantic(**fields))
        events = await taken_in(talk, silence(500), speech(800), silence(9000))
    (stopped,) = (e for e in events if e["type"] == STOPPED)
    return stopped["audio_end_ms"] - 1300, stt


@pytest.mark.parametrize(
    ("partials", "fields", "wait_ms"),
    [
        (["turn on the lamp"], {}, 200),
        (["turn on the lamp"], {"eagerness": "low"}, 200),
        (["turn on the"], {}, 4000),
        (["turn on the"], {"eagerness": "low"}, 8000),
        (["turn on the"], {"eagerness": "high"}, 2000),
        ([Partial(text="turn on the living", sentence=False)], {}, 4000),
        ([""], {}, 800),
        ([], {}, 800),  # a recogniser that cannot tell: by silence alone
        (["turn on", "turn on the lamp"], {}, 200),  # a word later, it knows better
    ],
)
async def test_what_was_said_sets_the_silence_that_ends_a_turn(
    partials: list[str | Partial],
    fields: dict[str, object],
    wait_ms: float,
    autojump_clock: MockClock,
) -> None:
    waited_ms, stt = await silence_after(partials, **fields)
    assert wait_ms - 33 <= waited_ms <= wait_ms + 65
    assert 1 <= stt.questions <= 2


async def test_a_turn_that_goes_on_after_a_pause_is_one_turn(autojump_clock: MockClock) -> None:
    stt = FakeStt(partials=["turn on the", "turn on the", "turn on the lamp"])
    async with talking(stt=stt) as talk:
        talk.configure(audio=semantic())
        await taken_in(talk, silence(300), speech(600), silence(1500), speech(600), silence(1000))
        kinds = [event["type"] for event in talk.events]
        assert (kinds.count(STARTED), kinds.count(STOPPED), kinds.count(COMMITTED)) == (1, 1, 1)
        started, stopped, committed = (
            e for e in talk.events if e["type"] in {STARTED, STOPPED, COMMITTED}
        )
        assert started["item_id"] == stopped["item_id"] == committed["item_id"]
        assert started["audio_start_ms"] < 300
        assert 3000 + 200 - 33 <= stopped["audio_end_ms"] <= 3000 + 200 + 65
    (heard,) = stt.heard
    assert len(heard) / 32 > 600 + 1500 + 600  # the recogniser had all of it


async def test_with_server_vad_the_same_is_two_turns_and_nobody_is_asked(
    autojump_clock: MockClock,
) -> None:
    stt = FakeStt(partials=["turn on the"])
    async with talking(stt=stt) as talk:
        talk.configure(
            audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}
        )
        await taken_in(talk, silence(300), speech(600), silence(1500), speech(600), silence(1000))
        assert [event["type"] for event in talk.events].count(STOPPED) == 2
    assert stt.questions == 0


async def test_a_slow_answer_ends_the_turn_when_it_comes(autojump_clock: MockClock) -> None:
    class Slow(FakeStt):
        answer_s = 0.5

    stt = Slow(partials=["turn on the lamp"])
    async with talking(stt=stt) as talk:
        talk.configure(audio=semantic())
        events = await taken_in(talk, silence(300), speech(600), silence(3000))
        (stopped,) = (e for e in events if e["type"] == STOPPED)
        # Asked some 30 ms after the end, answered 500 ms later, sooner than without an answer.
        assert 500 <= stopped["audio_end_ms"] - 900 <= 620


async def test_a_commit_by_hand_does_not_wait_for_an_answer(autojump_clock: MockClock) -> None:
    class Deaf(FakeStt):
        answer_s = 100.0

    async with talking(stt=Deaf(partials=["turn on the"])) as talk:
        talk.configure(audio=semantic())
        await talk.hear(silence(300) + speech(600) + silence(300))
        began = trio.current_time()
        talk.send("input_audio_buffer.commit")
        committed = await talk.until(COMMITTED)
        await talk.rest()
        assert trio.current_time() - began < 12
        entries = [i for i in talk.history.items(talk.session.id) if i.id == committed["item_id"]]
        assert entries[-1].content[0].transcript == "what time is it"  # type: ignore[union-attr]
