"""A whole session on fake engines and a mock clock: what a client sees, and what engines do."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import structs
from structlog.testing import capture_logs

from tests.realtime.fakes import (
    FakeLlm,
    FakeStt,
    FakeToolbox,
    FakeTts,
    Talk,
    calls,
    make_settings,
    says,
    silence,
    speech,
    talking,
)
from voiced.audio.pcm import SPEECH_HZ, WIRE_HZ, bytes_for_ms, duration_ms
from voiced.conversation import inputs as inp
from voiced.conversation.checks import Violation
from voiced.conversation.core import ANNOUNCEMENTS_KEPT
from voiced.engines.ports import ReplyEnd, TextDelta
from voiced.errors import AudioError, EngineCrashed, EngineFailed, EngineUnavailable
from voiced.realtime.missed import MISSED_AFTER_S
from voiced.tools.notice import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio.testing import MockClock

    from voiced.settings import Settings


SPOKEN_ANSWER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
LONG = "First of all there is this, and then. There is more. And more. And yet more of it."


def audio_ms(events: Sequence[dict[str, Any]]) -> float:
    deltas = [e["delta"] for e in events if e["type"] == "response.output_audio.delta"]
    return duration_ms(sum(len(base64.b64decode(delta)) for delta in deltas), WIRE_HZ)


def audio_times(talk: Talk) -> list[int]:
    """When speech started and stopped, in the order told."""
    fields = [("speech_started", "audio_start_ms"), ("speech_stopped", "audio_end_ms")]
    return [
        event[field]
        for event in talk.events
        for kind, field in fields
        if event["type"] == f"input_audio_buffer.{kind}"
    ]


async def say_something(talk: Talk, milliseconds: float = 1000) -> None:
    await talk.hear(silence(500) + speech(milliseconds) + silence(400))


async def failed(talk: Talk) -> dict[str, Any]:
    done = await talk.until("response.done")
    assert done["response"]["status"] == "failed"
    error: dict[str, Any] = done["response"]["status_details"]["error"]
    return error


async def test_a_typed_turn(autojump_clock: MockClock) -> None:
    llm, tts = FakeLlm(says("It is ", "noon.")), FakeTts(clause_ms=500)
    async with talking(llm=llm, tts=tts) as talk:
        talk.type_in("what time is it")
        done = await talk.until("response.done")
        assert talk.types() == [
            "session.created",
            "conversation.item.added",
            "conversation.item.done",
            *SPOKEN_ANSWER,
        ]
        assert done["response"]["status"] == "completed"
        assert done["response"]["usage"]["output_tokens"] == 2
        assert talk.text("response.output_audio_transcript.delta") == "It is noon."
        assert audio_ms(talk.events) == 500
        assert llm.asked[0][-1] == {"role": "user", "content": "what time is it"}
        assert [text for text, _, _ in tts.spoken] == ["It is noon."]
        assert (llm.left, tts.left) == (["done"], ["done"])
        roles = [getattr(item, "role", item) for item in talk.history.items(talk.session.id)]
        assert roles == ["user", "assistant"]


async def test_a_spoken_turn(autojump_clock: MockClock) -> None:
    stt, llm = FakeStt("turn on the lamp"), FakeLlm(says("Done."))
    async with talking(stt=stt, llm=llm) as talk:
        await say_something(talk, 1000)
        await talk.until("response.done")
        assert talk.types() == [
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            *SPOKEN_ANSWER,
        ]
        started, stopped, committed, added = talk.events[1:5]
        named = {e["item_id"] for e in (started, stopped, committed)} | {added["item"]["id"]}
        assert len(named) == 1
        assert started["audio_start_ms"] == pytest.approx(500 - 300, abs=70)
        assert stopped["audio_end_ms"] == pytest.approx(1500 + 200, abs=70)
        assert llm.asked[0][-1] == {"role": "user", "content": "turn on the lamp"}
        heard_ms = duration_ms(len(stt.heard[0]), SPEECH_HZ)
        assert heard_ms == pytest.approx(300 + 1000 + 200, abs=100)
        assert stt.left == ["done"]


async def test_the_transcript_is_told_where_it_was_asked_for(autojump_clock: MockClock) -> None:
    async with talking(stt=FakeStt("lamp on")) as talk:
        talk.configure(audio={"input": {"transcription": {"language": "de", "prompt": "Licht"}}})
        await talk.until("session.updated")
        await say_something(talk)
        told = await talk.until("conversation.item.input_audio_transcription.completed")
        assert told["transcript"] == "lamp on"
        assert told["usage"]["type"] == "duration"
        assert told["usage"]["seconds"] == pytest.approx(1.5, abs=0.1)


async def test_the_language_asked_for_holds_until_it_is_taken_back(
    autojump_clock: MockClock,
) -> None:
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        talk.configure(audio={"input": {"transcription": {"language": "de", "prompt": "Licht"}}})
        await say_something(talk)
        await talk.until("response.done")
        talk.configure(audio={"input": {"transcription": None}})
        await say_something(talk)
        await talk.until("response.done")
        assert stt.asked == [("de", "Licht"), ("en", "")]


async def test_the_voice_is_given_words_and_the_transcript_what_was_written(
    autojump_clock: MockClock,
) -> None:
    written = "**It** is 5 km. \U0001f600 See `it`."
    tts = FakeTts()
    async with talking(tts=tts, llm=FakeLlm(says(written))) as talk:
        talk.type_in("how far is it")
        await talk.until("response.done")
    assert [text for text, _, _ in tts.spoken] == ["It is 5 kilometers.", "See it."]
    told = [e["transcript"] for e in talk.events if e["type"].endswith("audio_transcript.done")]
    assert told == [written]


async def test_text_only(autojump_clock: MockClock) -> None:
    tts = FakeTts()
    async with talking(llm=FakeLlm(says("Noon", ", I think.")), tts=tts) as talk:
        talk.type_in("time?", output_modalities=["text"])
        await talk.until("response.done")
        assert talk.types()[3:] == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        assert talk.text("response.output_text.delta") == "Noon, I think."
        assert tts.spoken == []
        talk.type_in("and now?")
        await talk.until("response.done")
        assert len(tts.spoken) == 1


async def test_barge_in_stops_the_engines_and_everything_of_that_response(
    autojump_clock: MockClock,
) -> None:
    llm = FakeLlm([TextDelta(LONG), 60.0, ReplyEnd(finish="stop")])
    tts = FakeTts(clause_ms=3000)
    async with talking(llm=llm, tts=tts) as talk:
        talk.type_in("tell me a story")
        first = await talk.until("response.output_audio.delta")
        llm.scripts = [says("Yes?")]
        await talk.hear(speech(600) + silence(500))
        done = await talk.until("response.done")
        assert done["response"]["id"] == first["response_id"]
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        assert llm.left[0] == "cancelled"
        assert tts.open == 0
        kinds = talk.types(without="response.output_audio.delta")
        assert kinds[-7:] == [
            "input_audio_buffer.speech_started",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        rest = await talk.rest()
        assert all(e.get("response_id") != first["response_id"] for e in rest)
        assert [e["response"]["status"] for e in rest if e["type"] == "response.done"] == [
            "completed"
        ]


async def test_the_client_is_never_more_than_the_lead_ahead_so_little_is_stale(
    autojump_clock: MockClock,
) -> None:
    async with talking(llm=FakeLlm(says(LONG)), tts=FakeTts(clause_ms=3000)) as talk:
        talk.type_in("tell me a story")
        began = trio.current_time()
        await talk.until("response.output_audio.delta")
        with trio.move_on_after(1.0):
            while True:
                await talk.next()
        elapsed_ms = (trio.current_time() - began) * 1000
        assert audio_ms(talk.events) <= elapsed_ms + 400
        talk.send("response.cancel")
        await talk.until("response.done")
        assert await talk.rest() == []


async def test_cancel_by_the_client(autojump_clock: MockClock) -> None:
    llm = FakeLlm([TextDelta("Well, let me see."), 60.0, ReplyEnd(finish="stop")])
    async with talking(llm=llm) as talk:
        talk.type_in("hm")
        await talk.until("response.created")
        talk.send("response.cancel")
        done = await talk.until("response.done")
        assert done["response"]["status_details"] == {
            "type": "cancelled",
            "reason": "client_cancelled",
        }
        talk.send("response.cancel", event_id="again")
        error = await talk.until("error")
        assert error["error"]["code"] == "response_cancel_not_active"
        assert error["error"]["event_id"] == "again"
        llm.scripts = [says("Here.")]
        talk.type_in("and now?")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"
        assert llm.open == 0


async def test_push_to_talk(autojump_clock: MockClock) -> None:
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        talk.configure(audio={"input": {"turn_detection": None}})
        await talk.until("session.updated")
        await talk.hear(speech(800) + silence(2000))
        assert await talk.rest() == []
        talk.send("input_audio_buffer.commit")
        await talk.until("conversation.item.done")
        assert talk.types()[2:] == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        assert await talk.rest() == []  # a commit alone is not answered
        assert duration_ms(len(stt.heard[0]), SPEECH_HZ) == pytest.approx(2800, abs=1)
        talk.send("response.create")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"


async def test_commit_in_the_middle_of_speech(autojump_clock: MockClock) -> None:
    """The audio is already with the recogniser then, and counts as buffered all the same."""
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        await talk.hear(silence(500) + speech(1000))
        started = await talk.until("input_audio_buffer.speech_started")
        talk.send("input_audio_buffer.commit")
        committed = await talk.until("input_audio_buffer.committed")
        assert committed["item_id"] == started["item_id"]
        await talk.rest()
        assert "input_audio_buffer.speech_stopped" not in talk.types()
        assert duration_ms(len(stt.heard[0]), SPEECH_HZ) == pytest.approx(1300, abs=70)


async def test_commit_of_audio_that_came_in_one_piece(autojump_clock: MockClock) -> None:
    """Committed before turn detection has seen any of it: nothing of it may be lost."""
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        talk.session.pipeline.feed(speech(2000))
        talk.send("input_audio_buffer.commit")
        await talk.until("input_audio_buffer.committed")
        await talk.rest()
        assert duration_ms(len(stt.heard[0]), SPEECH_HZ) == pytest.approx(2000, abs=1)
        assert "input_audio_buffer.speech_started" not in talk.types()


async def test_clear_in_the_middle_of_speech(autojump_clock: MockClock) -> None:
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        await talk.hear(silence(300) + speech(800))
        await talk.until("input_audio_buffer.speech_started")
        talk.send("input_audio_buffer.clear")
        await talk.until("input_audio_buffer.cleared")
        await talk.hear(silence(1000))
        assert await talk.rest() == []
        assert stt.left == ["cancelled"]
        talk.send("input_audio_buffer.clear")
        talk.send("input_audio_buffer.commit")
        assert (await talk.until("error"))["error"]["code"] == "input_audio_buffer_commit_empty"
        await say_something(talk)
        assert (await talk.until("response.done"))["response"]["status"] == "completed"
        assert len(stt.heard) == 1


async def test_turn_detection_switched_off_in_mid_speech_forgets_that_speech(
    autojump_clock: MockClock,
) -> None:
    stt = FakeStt()
    async with talking(stt=stt) as talk:
        await talk.hear(silence(300) + speech(800))
        await talk.until("input_audio_buffer.speech_started")
        talk.configure(audio={"input": {"turn_detection": None}})
        await talk.hear(speech(300))
        talk.send("input_audio_buffer.commit")
        await talk.until("input_audio_buffer.committed")
        await talk.rest()
        assert stt.left == ["cancelled", "done"]
        assert duration_ms(len(stt.heard[0]), SPEECH_HZ) == pytest.approx(300, abs=1)


async def test_speech_without_an_end_is_ended_at_the_bound(autojump_clock: MockClock) -> None:
    def short(settings: Settings) -> Settings:
        return structs.replace(settings, limits=structs.replace(settings.limits, input_audio_s=5.0))

    stt = FakeStt()
    async with talking(stt=stt, settings=make_settings(short)) as talk:
        await talk.hear(speech(12_000) + silence(500), portion_ms=100)
        await talk.rest()
        lengths = [duration_ms(len(pcm), SPEECH_HZ) for pcm in stt.heard]
        assert len(lengths) == 3
        assert max(lengths) < 5100
        assert sum(lengths) == pytest.approx(12_000 + 300, abs=300)
        times = audio_times(talk)
        assert times == sorted(times)


async def test_audio_times_never_run_backwards(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        # so short a pause that the next speech's padding reaches into the last turn
        await talk.hear((speech(400) + silence(230)) * 6 + silence(400))
        await talk.rest()
        times = audio_times(talk)
        assert len(times) >= 6
        assert times == sorted(times)
        assert all(isinstance(at, int) for at in times)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineCrashed("child 17 died", public="speech recognition crashed"), "engine_crashed"),
        (AudioError("an utterance is longer than 310 s"), "invalid_audio"),
        (RuntimeError("a bug: /secret/path"), "internal_error"),
    ],
)
async def test_speech_recognition_fails(
    error: Exception, code: str, autojump_clock: MockClock
) -> None:
    stt = FakeStt(error=error)
    async with talking(stt=stt) as talk:
        talk.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
        await say_something(talk)
        told = await talk.until("conversation.item.input_audio_transcription.failed")
        assert told["error"]["code"] == code
        reason = await failed(talk)
        assert reason["code"] == code
        assert "secret" not in str(talk.events)
        assert "child" not in str(talk.events)
        stt.error = None
        await say_something(talk)
        assert (await talk.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.parametrize("modality", ["audio", "text"])
@pytest.mark.parametrize("after", [[], [TextDelta("Well, as I was saying. ")]])
async def test_the_language_model_fails(
    modality: str, after: list[Any], autojump_clock: MockClock
) -> None:
    crash = EngineCrashed("child 17 died at /secret", public="the assistant crashed")
    llm = FakeLlm([*after, 1.0, crash], says("Here I am."))
    async with talking(llm=llm) as talk:
        talk.type_in("hello", output_modalities=[modality])
        assert await failed(talk) == {
            "type": "server_error",
            "code": "engine_crashed",
            "message": "the assistant crashed",
        }
        assert [event["type"] for event in await talk.rest()] == ["rate_limits.updated"]
        talk.type_in("hello", output_modalities=[modality])
        assert (await talk.until("response.done"))["response"]["status"] == "completed"


async def test_the_limit_on_events_is_told_after_what_was_not_cancelled(
    autojump_clock: MockClock,
) -> None:
    async with talking(llm=FakeLlm(says("It is noon."), says(LONG))) as talk:
        limit = talk.session.control
        for _ in range(10):
            limit.take(1, trio.current_time())
        talk.type_in("what time is it", output_modalities=["text"])
        await talk.until("response.done")
        told = await talk.next()
        assert told["type"] == "rate_limits.updated"
        (requests,) = told["rate_limits"]
        assert requests == {
            "name": "requests",
            "limit": 1_000,
            "remaining": 990,
            "reset_seconds": 0.6,
        }
        talk.type_in("tell me more")
        await talk.until("response.output_audio.delta")
        talk.send("response.cancel")
        await talk.until("response.done")
        assert await talk.rest() == []


async def test_the_voice_fails(autojump_clock: MockClock) -> None:
    tts = FakeTts(error=EngineFailed("no such voice", public="the voice failed"))
    llm = FakeLlm(says(LONG))
    async with talking(tts=tts, llm=llm) as talk:
        talk.type_in("hello")
        assert (await failed(talk))["message"] == "the voice failed"
        tts.error = None
        talk.type_in("hello")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"
        assert llm.open == tts.open == 0


async def test_there_is_no_voice(autojump_clock: MockClock) -> None:
    """That reply is text only, and the next one is spoken again."""
    tts = FakeTts(error=EngineUnavailable("it has crashed too often", public="there is no voice"))
    tts.clause_ms = 0
    llm = FakeLlm(says(LONG))
    async with talking(tts=tts, llm=llm) as talk:
        talk.type_in("hello")
        response = (await talk.until("response.done"))["response"]
        assert response["status"] == "completed"
        assert response["voiced"]["missing"] == {"tts": "engine_unavailable"}
        (item,) = response["output"]
        assert item["content"][0]["transcript"] == LONG
        assert len(tts.left) == 1  # it is not asked again for each clause
        tts.error, tts.clause_ms = None, 300
        talk.type_in("hello")
        response = (await talk.until("response.done"))["response"]
        assert response["status"] == "completed"
        assert "missing" not in response["voiced"]
        assert llm.open == tts.open == 0


NO_MODEL = EngineUnavailable("the assistant is not to be had", public="it cannot be reached")


async def test_nobody_answers_and_that_is_said(autojump_clock: MockClock) -> None:
    tts = FakeTts()
    async with talking(llm=FakeLlm([NO_MODEL], says("Here I am.")), tts=tts) as talk:
        talk.type_in("hello")
        response = (await talk.until("response.done"))["response"]
        assert response["status"] == "completed"
        assert response["voiced"]["missing"] == {"llm": "engine_unavailable"}
        (item,) = response["output"]
        assert item["content"][0]["transcript"] == "Sorry, I cannot answer that at the moment."
        assert tts.left == ["done"]
        talk.type_in("hello")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"
        assert talk.text("response.output_audio_transcript.delta").endswith("Here I am.")


@pytest.mark.parametrize(
    ("script", "response"),
    [
        ([NO_MODEL], {"output_modalities": ["text"]}),
        ([NO_MODEL], {"tool_choice": "required"}),
        ([TextDelta("Well, as I was saying. "), 1.0, NO_MODEL], {}),
    ],
    ids=["in writing", "a call is insisted on", "after the first word"],
)
async def test_nobody_answers_and_the_response_fails(
    script: list[Any], response: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with talking(llm=FakeLlm(script)) as talk:
        talk.type_in("hello", **response)
        assert (await failed(talk))["message"] == "it cannot be reached"


async def test_a_bug_in_a_reply_fails_that_response_only(autojump_clock: MockClock) -> None:
    llm = FakeLlm([RuntimeError("a bug at /secret/path")], says("Fine."))
    async with talking(llm=llm) as talk:
        talk.type_in("hello")
        assert (await failed(talk))["code"] == "internal_error"
        assert "secret" not in str(talk.events)
        talk.type_in("hello")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"


async def test_an_engine_error_and_a_bug_at_once(autojump_clock: MockClock) -> None:
    crash = EngineCrashed("it died", public="the assistant crashed")
    llm = FakeLlm([TextDelta("Well, as I was saying. "), 0.05, crash], says("Fine."))
    tts = FakeTts(first_s=0.05, clause_ms=0, error=RuntimeError("a bug"))
    async with talking(llm=llm, tts=tts) as talk:
        talk.type_in("hello")
        await failed(talk)
        tts.error = None
        talk.type_in("hello")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"
        assert [e["type"] for e in talk.events].count("response.done") == 2


async def test_tool_rounds(autojump_clock: MockClock) -> None:
    llm = FakeLlm(calls("get_time", "get_date"), calls("lights"), says("It is noon."))
    toolbox = FakeToolbox()
    async with talking(llm=llm, toolbox=toolbox) as talk:
        talk.type_in("what time is it")
        done = await talk.until("response.done")
        assert done["response"]["status"] == "completed"
        assert toolbox.called == ["get_time", "get_date", "lights"]
        roles = [m["role"] for m in llm.asked[-1] if m["role"] != "system"]
        assert roles == ["user", "assistant", "tool", "tool", "assistant", "tool"]
        answers = [m for m in llm.asked[-1] if m["role"] == "tool"]
        assert [m["tool_call_id"] for m in answers] == [
            "call_get_time",
            "call_get_date",
            "call_lights",
        ]
        assert talk.text("response.output_audio_transcript.delta") == "It is noon."


async def test_a_model_that_never_stops_asking_for_tools_is_stopped(
    autojump_clock: MockClock,
) -> None:
    llm, toolbox = FakeLlm(calls("get_time")), FakeToolbox()
    async with talking(llm=llm, toolbox=toolbox) as talk:
        # Who listens is told.
        talk.type_in("what time is it")
        done = (await talk.until("response.done"))["response"]
        assert done["status"] == "completed"
        assert done["voiced"]["missing"] == {"llm": "no_answer"}
        said = talk.text("response.output_audio_transcript.delta")
        assert said == "Sorry, I cannot answer that at the moment."
        assert 1 < len(toolbox.called) < 10
        # Who reads gets the failure itself.
        talk.configure(output_modalities=["text"])
        talk.type_in("what time is it")
        assert (await failed(talk))["message"] == "The assistant did not come to an answer."


async def test_a_bug_in_a_tool_fails_that_response(autojump_clock: MockClock) -> None:
    async with talking(llm=FakeLlm(calls("broken"), says("Fine."))) as talk:
        talk.type_in("do it")
        assert (await failed(talk))["code"] == "internal_error"
        talk.type_in("do it")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"


async def test_an_announcement_in_the_quiet(autojump_clock: MockClock) -> None:
    llm = FakeLlm()
    async with talking(llm=llm) as talk:
        settled = talk.announce("Your timer is over.")
        done = await talk.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "Your timer is over."
        assert llm.asked == []
        # All of it went out, and the client may be as dead as before: a receipt counts.
        assert settled == []
        talk.session.notices.receive(b"%d" % (talk.session.outbox.number - 3))
        assert settled == []
        talk.session.notices.receive(b"%d" % talk.session.outbox.number)
        talk.session.notices.receive(b"%d" % talk.session.outbox.number)
        assert settled == [True]
    assert settled == [True]


async def test_an_announcement_waits_for_whoever_speaks_and_for_the_answer(
    autojump_clock: MockClock,
) -> None:
    async with talking(llm=FakeLlm(says("It is noon."))) as talk:
        await talk.hear(silence(300) + speech(500))
        talk.announce("Your timer is over.")
        await talk.hear(speech(300) + silence(500))
        await talk.rest()
        said = [
            e["response"]["output"][0]["content"][0]["transcript"]
            for e in talk.events
            if e["type"] == "response.done"
        ]
        assert said == ["It is noon.", "Your timer is over."]


async def test_an_announcement_to_a_session_that_is_gone_goes_to_all_or_nobody(
    autojump_clock: MockClock,
) -> None:
    async with talking() as talk:
        hub = talk.hub
        settled = talk.announce("Hello.", "sess_gone")
        await talk.until("response.created")
        assert settled == []
    assert settled == [False]  # it ended before the sound was out
    settled = []
    hub.announce("sess_gone", Notice("Hello.", settled.append))
    assert settled == [False]


async def test_a_session_expires(autojump_clock: MockClock) -> None:
    llm = FakeLlm([TextDelta("Once upon a time, "), 3600.0, ReplyEnd(finish="stop")])
    async with talking(llm=llm, settings=make_settings(max_s=60.0)) as talk:
        talk.type_in("tell me a story")
        close = await talk.close()
        assert (close.code, close.reason) == (1001, "session_expired")
        assert [e["type"] for e in talk.events[-2:]] == ["response.done", "error"]
        assert talk.events[-1]["error"]["code"] == "session_expired"
        assert talk.events[-2]["response"]["status"] == "failed"
        await trio.testing.wait_all_tasks_blocked()
        assert llm.open == 0


async def test_shutting_down_closes_what_is_open(autojump_clock: MockClock) -> None:
    llm = FakeLlm([TextDelta("Once upon a time, there. "), 60.0, ReplyEnd(finish="stop")])
    async with talking(llm=llm) as talk:
        talk.type_in("tell me a story")
        await talk.until("response.output_audio.delta")
        talk.session.apply(inp.ShutDown())
        close = await talk.close()
        assert close.code == 1001
        assert talk.events[-1]["type"] == "response.done"


async def test_leaving_ends_everything_in_the_middle_of_it(autojump_clock: MockClock) -> None:
    """The checks are those of `talking`, after the session was left."""
    stt, tts = FakeStt(), FakeTts(clause_ms=60_000)
    llm = FakeLlm([TextDelta("Once upon a time, there. "), 60.0, ReplyEnd(finish="stop")])
    async with talking(stt=stt, llm=llm, tts=tts) as talk:
        talk.configure(
            audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}
        )
        talk.type_in("tell me a story")
        await talk.until("response.output_audio.delta")
        await talk.hear(speech(500))
        session = talk.session
    assert (stt.left, llm.left, tts.open) == (["cancelled"], ["cancelled"], 0)
    session.end("twice is fine")
    talk.type_in("too late: nobody keeps this")
    assert talk.history.items(session.id) == ()


async def test_the_log_has_the_end_of_every_response_once(autojump_clock: MockClock) -> None:
    """Also where its client leaves in the middle, and one that failed does not look finished."""
    tts = FakeTts(clause_ms=1_000)
    with capture_logs() as logs:
        noon, crash = says("Noon."), EngineCrashed("it crashed")
        async with talking(llm=FakeLlm(noon, noon, [crash], noon), tts=tts) as talk:
            talk.type_in("what time is it")
            await talk.until("response.done")
            talk.type_in("what time is it")
            await talk.until("response.output_audio.delta")
            talk.send("response.cancel")
            await talk.until("response.done")
            talk.type_in("what time is it")
            await talk.until("response.done")
            talk.type_in("what time is it")
            await talk.until("response.output_audio.delta")
    ends = [entry for entry in logs if entry["event"] == "finished response"]
    assert [end["status"] for end in ends] == ["completed", "cancelled", "failed", "abandoned"]
    assert len({end["response"] for end in ends}) == 4


async def test_each_response_is_timed_from_when_it_was_waited_for(
    autojump_clock: MockClock,
) -> None:
    async with talking(stt=FakeStt(delay_s=1.0)) as talk:
        await talk.hear(speech(500) + silence(300))
        await talk.until("conversation.item.done")
        await trio.sleep(0.5)
        # A client may look at every turn beside the conversation, as guardrails do.
        beside = {"conversation": "none", "input": [], "output_modalities": ["text"]}
        talk.send("response.create", response=beside)
        looked = await talk.until("response.done")
        assert "stt" not in looked["response"]["voiced"]["timing_ms"]
        timing = (await talk.until("response.done"))["response"]["voiced"]["timing_ms"]
        assert timing["stt"] == pytest.approx(1000)
        assert timing["total"] == pytest.approx(1000 + 50), "the voice takes 50 ms"


async def test_many_responses_beside_the_conversation(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        for _ in range(200):
            talk.send("response.create", response={"conversation": "none"})
        events = await talk.rest()
        created = [e["response"]["id"] for e in events if e["type"] == "response.created"]
        done = [e["response"]["id"] for e in events if e["type"] == "response.done"]
        refused = [e for e in events if e["type"] == "error"]
        assert len(created) + len(refused) == 200
        assert len(created) > 1
        assert sorted(created) == sorted(done)
        assert talk.session.replies.count == 0


async def test_a_client_that_does_not_read_is_closed_and_nothing_grows(
    autojump_clock: MockClock,
) -> None:
    def narrow(settings: Settings) -> Settings:
        return structs.replace(
            settings, limits=structs.replace(settings.limits, outbox_bytes=20_000)
        )

    async with talking(tts=FakeTts(clause_ms=5000), settings=make_settings(narrow)) as talk:
        talk.type_in("tell me a story")
        await trio.sleep(5)
        for _ in range(1000):
            talk.type_in("and then?")
        # The bound, and the end of what was under way.
        assert 20_000 - 1_000 < talk.session.outbox.size_bytes <= 20_000 + 5_000
        close = await talk.close()
        assert close.code == 1008
        answers = [e for e in talk.events if e["type"] in {"response.created", "response.done"}]
        assert len(answers) == 2
        assert answers[0]["response"]["id"] == answers[1]["response"]["id"]
        assert answers[1]["response"]["status"] == "failed"
        numbers = [int(e["event_id"][-6:], 16) for e in talk.events]
        assert numbers == list(range(1, len(numbers) + 1))  # no gap before the end


async def test_a_fault_in_the_audio_pipeline_ends_this_session_with_1011(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with talking() as talk:
        monkeypatch.setattr(talk.session.pipeline, "_analyse", lambda: 1 / 0)
        talk.session.pipeline.feed(speech(200))
        close = await talk.close()
        assert (close.code, close.reason) == (1011, "internal error")


async def test_a_mistake_of_the_core_costs_one_answer(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with talking() as talk:
        talk.type_in("hello")
        created = await talk.until("response.created")
        problem = Violation(invariant=4, message="", response_id=created["response"]["id"])
        found = [[problem]]
        monkeypatch.setattr(
            "voiced.realtime.session.violations", lambda *_: found.pop() if found else []
        )
        assert (await failed(talk))["code"] == "internal_error"
        talk.type_in("hello")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"


async def test_a_session_that_fails_under_an_announcement_fails_alone(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The timer that announces is shared by all sessions and must not fall with one."""
    async with talking() as talk:
        monkeypatch.setattr("voiced.realtime.session.step", lambda *_: 1 / 0)
        settled = talk.announce("Your timer is over.", "")
        assert (await talk.close()).code == 1011
        assert settled == [False]


async def test_audio_beyond_the_bound_is_dropped_and_counted(autojump_clock: MockClock) -> None:
    def short(settings: Settings) -> Settings:
        return structs.replace(settings, limits=structs.replace(settings.limits, input_audio_s=2.0))

    stt = FakeStt()
    async with talking(stt=stt, settings=make_settings(short)) as talk:
        talk.configure(audio={"input": {"turn_detection": None}})
        for _ in range(10):
            talk.session.pipeline.feed(speech(500))
        assert talk.session.pipeline.dropped_bytes == bytes_for_ms(3000, WIRE_HZ)
        talk.send("input_audio_buffer.commit")
        await talk.rest()
        assert duration_ms(len(stt.heard[0]), SPEECH_HZ) == pytest.approx(2000, abs=1)


async def test_the_voice_of_another_rate_is_as_long(autojump_clock: MockClock) -> None:
    async with talking(tts=FakeTts(clause_ms=1000, rate=22_050)) as talk:
        talk.type_in("hello")
        await talk.until("response.done")
        assert audio_ms(talk.events) == pytest.approx(1000, abs=1)


def missed_once(settled: list[bool]) -> Callable[[], Notice | None]:
    """A timer that is missed until somebody has heard of it, as `Timers.take_missed`."""
    return lambda: None if True in settled else Notice("Your timer was over.", settled.append)


async def test_what_was_missed_is_told_to_someone_who_stays(autojump_clock: MockClock) -> None:
    settled: list[bool] = []
    async with talking(tts=FakeTts(clause_ms=100), take_missed=missed_once(settled)) as talk:
        began = trio.current_time()
        await talk.until("response.done")
        assert talk.text("response.output_audio_transcript.delta") == "Your timer was over."
        assert trio.current_time() - began >= MISSED_AFTER_S
        talk.session.notices.receive(b"%d" % talk.session.outbox.number)
    assert settled == [True]


async def test_a_short_visit_does_not_take_what_was_missed(autojump_clock: MockClock) -> None:
    settled: list[bool] = []
    llm = FakeLlm(says("Noon."))
    async with talking(llm=llm, take_missed=missed_once(settled)) as talk:
        talk.type_in("what time is it")
        await talk.until("response.done")
    assert settled == []


async def test_an_announcement_that_fails_is_made_again_where_somebody_stays(
    autojump_clock: MockClock,
) -> None:
    settled: list[bool] = []
    tts = FakeTts(clause_ms=100)
    tts.error = EngineCrashed("it crashed")
    async with talking(tts=tts, take_missed=missed_once(settled)) as talk:
        assert (await failed(talk))["code"] == EngineCrashed.code
        assert settled == [False]
        tts.error = None
        assert (await talk.until("response.done"))["response"]["status"] == "completed"
        talk.session.notices.receive(b"%d" % talk.session.outbox.number)
        await talk.rest()  # and not a third time
        assert sum(event["type"] == "response.created" for event in talk.events) == 2
    assert settled == [False, True]


async def test_what_one_session_did_not_hear_is_told_in_another(autojump_clock: MockClock) -> None:
    settled: list[bool] = []
    async with talking() as talk:
        talk.session._parts = structs.replace(talk.session._parts, take_missed=missed_once(settled))
        async with talk.hub.open_session("127.0.0.1", None) as other:
            await trio.sleep(MISSED_AFTER_S + 1)  # who stays long has looked for what was missed
            assert settled == []
            talk.hub.announce(other.id, Notice("Your timer is over.", settled.append))
        assert settled == [False]
        await talk.until("response.done")
        assert talk.text("response.output_audio_transcript.delta") == "Your timer was over."


async def test_an_announcement_cut_off_by_speech_was_heard_and_one_not_begun_was_not(
    autojump_clock: MockClock,
) -> None:
    async with talking(tts=FakeTts(clause_ms=5_000)) as talk:
        settled = talk.announce("Your timer is over.")
        await talk.until("response.output_audio.delta")
        talk.send("response.cancel")
        assert (await talk.until("response.done"))["response"]["status"] == "cancelled"
        talk.session.notices.receive(b"%d" % talk.session.outbox.number)
        assert settled == [True]
        settled = talk.announce("Your timer is over.")
        await talk.until("response.created")
        talk.send("response.cancel")
        await talk.until("response.done")
        assert settled == [False]


async def test_an_announcement_that_gives_way_to_an_answer_is_not_lost(
    autojump_clock: MockClock,
) -> None:
    llm = FakeLlm(says("Noon."))
    async with talking(llm=llm, tts=FakeTts(clause_ms=1_000)) as talk:
        settled = talk.announce("Your timer is over.")
        await talk.until("response.output_audio.delta")
        talk.type_in("what time is it")
        for status in ("cancelled", "completed", "completed"):
            assert (await talk.until("response.done"))["response"]["status"] == status
        assert settled == []
        talk.session.notices.receive(b"%d" % talk.session.outbox.number)
        assert settled == [True]


async def test_announcements_beyond_what_is_kept_were_not_heard(autojump_clock: MockClock) -> None:
    async with talking(llm=FakeLlm([3600.0, *says("Late.")])) as talk:
        talk.type_in("what time is it")
        settled = [talk.announce(f"Timer {number}.") for number in range(ANNOUNCEMENTS_KEPT + 1)]
        assert settled == [[False], *([[]] * ANNOUNCEMENTS_KEPT)]
    assert settled == [[False]] * (ANNOUNCEMENTS_KEPT + 1)


async def test_a_refused_event_leaves_its_code_in_the_log_and_none_of_its_values(
    autojump_clock: MockClock,
) -> None:
    async with talking() as talk:
        with capture_logs() as logs:
            talk.send("session.update", session={"type": "realtime", "instructions": 7})
    (entry,) = (entry for entry in logs if entry["event"] == "refused event")
    assert entry["log_level"] == "debug"
    assert (entry["code"], entry["param"]) == ("invalid_value", "session.instructions")
