"""Turns over a connection: what the client makes of the server's events, and its pace."""

from __future__ import annotations

import base64

import pytest
import trio

from tests.client.scripted_peer import Peer, serve_script, spoken_turn, typed_turn
from tests.patience import CEILING_S
from voiced.client.connection import open_client
from voiced.client.microphone import INPUT_RATE_HZ, Microphone
from voiced.client.turn import TurnRecorder, run_spoken_turn, run_typed_turn
from voiced.errors import ClientError

SPEECH = b"\x10\x20" * (INPUT_RATE_HZ // 10)


async def speak(url: str, microphone: Microphone) -> TurnRecorder:
    with trio.fail_after(CEILING_S):
        async with open_client(url) as client:
            await client.configure({"audio": {"input": {"transcription": {}}}})
            return await run_spoken_turn(client, microphone)


async def test_spoken_turn_gives_transcript_reply_audio_and_marks_in_order() -> None:
    async with serve_script(spoken_turn) as url:
        turn = await speak(url, Microphone(SPEECH))
    assert turn.transcript == "what time is it"
    assert turn.reply == "It is noon."
    assert bytes(turn.audio) == b"\x01\x00" * 2400 + b"\x02\x00" * 2400
    assert turn.status == "completed"
    assert turn.timing_ms["tts_first_audio"] == 7.0
    marks = turn.marks
    times = [
        marks.end_of_speech,
        marks.speech_stopped,
        marks.committed,
        marks.response_created,
        marks.first_text,
        marks.first_audio,
        marks.done,
    ]
    known = [time for time in times if time is not None]
    assert len(known) == len(times)
    assert known == sorted(known)


async def test_frames_are_sent_when_their_audio_was_captured() -> None:
    arrivals: list[float] = []

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.hear(len(SPEECH) * 2)
        arrivals.extend(peer.appends)
        await peer.commit_speech()
        await peer.begin_response()
        await peer.transcribe("")
        await peer.end_response()
        await peer.linger()

    async with serve_script(script) as url:
        begun = trio.current_time()
        await speak(url, Microphone(SPEECH, frame_ms=20))
    # Ten frames of silence continue the ten of speech; none comes before it could be captured.
    assert len(arrivals) == 10
    assert all(at - begun >= 0.02 * (index + 1) for index, at in enumerate(arrivals))


async def test_typed_turn() -> None:
    async with serve_script(typed_turn) as url, open_client(url) as client:
        await client.configure({})
        turn = await run_typed_turn(client, "hello")
    assert turn.reply == "You typed: hello"
    assert len(turn.audio) == 4800
    assert turn.transcript == ""


async def test_transcript_may_follow_the_response() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.hear(len(SPEECH))
        await peer.commit_speech()
        await peer.begin_response()
        await peer.end_response()
        await peer.transcribe("late")
        await peer.linger()

    async with serve_script(script) as url:
        assert (await speak(url, Microphone(SPEECH))).transcript == "late"


async def test_speech_cut_in_two_is_one_turn_with_the_last_reply() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.hear(len(SPEECH) // 2)
        await peer.commit_speech("item_u1")
        await peer.begin_response("resp_1")
        await peer.speak("Yes?", b"\x01\x00" * 240, "resp_1")
        await peer.transcribe("turn on", "item_u1")
        await peer.send("input_audio_buffer.speech_started", audio_start_ms=1, item_id="item_u2")
        details = {"type": "cancelled", "reason": "turn_detected"}
        await peer.end_response("resp_1", "cancelled", status_details=details)
        await peer.hear(len(SPEECH))
        await peer.commit_speech("item_u2")
        await peer.begin_response("resp_2")
        await peer.speak("Done.", b"\x02\x00" * 240, "resp_2")
        await peer.transcribe("the lamp", "item_u2")
        await peer.end_response("resp_2")
        await peer.linger()

    async with serve_script(script) as url:
        turn = await speak(url, Microphone(SPEECH))
    assert turn.transcript == "turn on the lamp"
    assert turn.reply == "Done."
    assert bytes(turn.audio) == b"\x02\x00" * 240
    assert turn.status == "completed"


async def test_events_of_another_response_are_not_this_reply() -> None:
    recorder = TurnRecorder(spoken=False)
    recorder.observe({"type": "response.created", "response": {"id": "a"}}, 1.0)
    other = {"type": "response.output_text.delta", "response_id": "b", "delta": "other"}
    recorder.observe(other, 2.0)
    recorder.observe({**other, "response_id": "a", "delta": "mine"}, 3.0)
    before = recorder.answered
    recorder.observe({"type": "response.done", "response": {"id": "b", "status": "failed"}}, 4.0)
    assert (before, recorder.answered) == (False, False)
    recorder.observe({"type": "response.done", "response": {"id": "a", "status": "completed"}}, 5.0)
    assert (recorder.answered, recorder.reply) == (True, "mine")
    assert recorder.marks.first_text == 3.0


async def test_failed_response_says_why() -> None:
    recorder = TurnRecorder(spoken=False)
    recorder.observe({"type": "response.created", "response": {"id": "a"}}, 1.0)
    error = {"type": "server_error", "code": "engine_crashed", "message": "The engine stopped."}
    details = {"type": "failed", "error": error}
    done = {"id": "a", "status": "failed", "status_details": details}
    recorder.observe({"type": "response.done", "response": done}, 2.0)
    assert recorder.status == "failed"
    assert recorder.status_reason == "The engine stopped."


@pytest.mark.parametrize(
    ("arrivals", "gap_s"),
    [
        ([(10.0, 0.2), (10.1, 0.2), (10.3, 0.2)], 0.0),
        ([(10.0, 0.2), (10.5, 0.2), (10.6, 0.2)], 0.3),
        # What came late moves the rest: the second pause is short.
        ([(10.0, 0.2), (10.5, 0.2), (10.75, 0.2)], 0.3),
        ([(10.0, 0.1)], 0.0),
    ],
)
def test_a_gap_is_how_long_playback_stood_still(
    arrivals: list[tuple[float, float]], gap_s: float
) -> None:
    recorder = TurnRecorder(spoken=False)
    recorder.observe({"type": "response.created", "response": {"id": "r"}}, 9.0)
    for at, seconds in arrivals:
        pcm = bytes(round(seconds * 24_000) * 2)
        delta = base64.b64encode(pcm).decode()
        event = {"type": "response.output_audio.delta", "response_id": "r", "delta": delta}
        recorder.observe(event, at)
    assert recorder.longest_gap_s == pytest.approx(gap_s)


def test_audio_ahead_of_real_time_is_what_playback_has_not_reached() -> None:
    recorder = TurnRecorder(spoken=False)
    recorder.observe({"type": "response.created", "response": {"id": "a"}}, 0.0)
    half_a_second = "A" * 32000
    delta = {"type": "response.output_audio.delta", "response_id": "a", "delta": half_a_second}
    recorder.observe(delta, 1.0)
    recorder.observe(delta, 1.1)
    recorder.observe(delta, 3.0)
    assert recorder.most_ahead_s == pytest.approx(0.9)


async def test_unnoticed_speech_is_an_error_and_not_a_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voiced.client.turn._HEARING_GRACE_S", 0.1)

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.linger()

    async with serve_script(script) as url:
        with pytest.raises(ClientError, match="noticed no speech"):
            await speak(url, Microphone(SPEECH))


@pytest.mark.parametrize("refuse", [True, False])
async def test_error_and_loss_end_the_turn(*, refuse: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.hear(960)
        if refuse:
            await peer.send("error", error={"code": "rate_limit_exceeded", "message": "Slower."})
            await peer.linger()
        else:
            await peer.websocket.aclose(1011)

    async with serve_script(script) as url:
        with pytest.raises(ClientError, match="Slower" if refuse else "failed internally"):
            await speak(url, Microphone(SPEECH * 20))


async def test_end_of_speech_lies_in_the_frame_that_holds_its_last_sample() -> None:
    silent_tail = Microphone(SPEECH * 2, frame_ms=20, end_of_speech_s=0.1)
    whole = Microphone(SPEECH * 2, frame_ms=20)
    assert whole.expected_end - silent_tail.expected_end == pytest.approx(0.1, abs=0.01)
