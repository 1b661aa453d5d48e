"""One turn as its client sees it: what was said, what came back, and when.

`TurnRecorder` is sans-I/O: events and their times in, marks out. `run_spoken_turn` and
`run_typed_turn` drive it over a connection.
"""

from __future__ import annotations

import base64
import binascii
from math import inf
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from voiced.client.connection import refusal
from voiced.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.client.connection import RealtimeClient, Received
    from voiced.client.microphone import Microphone

REPLY_RATE_HZ: Final = 24_000
_BYTES_PER_S: Final = REPLY_RATE_HZ * 2
# A transcript floats freely after the commit; this long past the reply it will not come.
_TRANSCRIPT_GRACE_S: Final = 5.0
# Speech that the server has not noticed this long after it ended, it never will.
_HEARING_GRACE_S: Final = 3.0
# By how much the microphone may lag, before its end is looked for again.
_LATENESS_S: Final = 0.05
# How long the start of speech may take to be noticed.
_NOTICE_S: Final = 1.0

_TEXT_DELTAS: Final = ("response.output_text.delta", "response.output_audio_transcript.delta")
_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription."


class Marks(msgspec.Struct):
    """When things happened, in seconds of the Trio clock; None where they have not.

    Those after `committed` belong to the last response, those up to it to the last utterance.
    """

    end_of_speech: float | None = None
    speech_started: float | None = None
    speech_stopped: float | None = None
    committed: float | None = None
    transcript: float | None = None
    response_created: float | None = None
    first_text: float | None = None
    first_audio: float | None = None
    last_audio: float | None = None
    done: float | None = None


class TurnRecorder:
    """Follows the server's events of one turn.

    Where the server cuts the speech into several utterances, `transcript` joins them, and
    reply and marks are those of the last response. `longest_gap_s` is how long its playback stood
    still at most, had it begun with the first delta and nothing in hand.
    """

    def __init__(self, *, spoken: bool) -> None:
        self.spoken = spoken
        self.marks = Marks()
        self.reply = ""
        self.audio = bytearray()
        self.response_id = ""
        self.status = ""
        self.status_reason = ""
        self.timing_ms: dict[str, float] = {}
        self.most_ahead_s = 0.0
        self.longest_gap_s = 0.0
        self._played_out = 0.0
        self.transcription_failed = False
        self._texts: dict[str, str | None] = {}
        self._speaking = False
        self._owed = not spoken

    @property
    def transcript(self) -> str:
        return " ".join(text for text in self._texts.values() if text)

    @property
    def heard(self) -> bool:
        """Whether the server noticed speech."""
        return self.marks.speech_started is not None or self.marks.committed is not None

    @property
    def answered(self) -> bool:
        """Whether every utterance so far is over and has its response, which is done too."""
        return not self._speaking and not self._owed and bool(self.status)

    @property
    def transcribed(self) -> bool:
        """Whether every utterance has its transcript, or has failed to get one."""
        return all(text is not None for text in self._texts.values())

    def observe(self, event: Mapping[str, Any], at: float) -> None:
        """Take in a server event that arrived at `at`. Raises `ClientError` on an `error`."""
        kind = event["type"]
        if kind == "error":
            raise refusal(event)
        if kind.startswith("input_audio_buffer."):
            self._observe_speech(kind, event, at)
        elif kind.startswith(_TRANSCRIPTION):
            self._observe_transcript(kind, event, at)
        elif kind.startswith("response."):
            self._observe_response(kind, event, at)

    def _observe_speech(self, kind: str, event: Mapping[str, Any], at: float) -> None:
        if kind == "input_audio_buffer.speech_started":
            self._speaking = True
            self.marks.speech_started = at
        elif kind == "input_audio_buffer.speech_stopped":
            self._speaking = False
            self.marks.speech_stopped = at
        elif kind == "input_audio_buffer.committed":
            self._speaking = False
            self._owed = True
            self._texts.setdefault(str(event.get("item_id")), None)
            self.marks.committed = at
            self.marks.transcript = None

    def _observe_transcript(self, kind: str, event: Mapping[str, Any], at: float) -> None:
        item_id = str(event.get("item_id"))
        if kind.endswith(".completed"):
            self._texts[item_id] = str(event.get("transcript") or "")
            self.marks.transcript = at
        elif kind.endswith(".failed"):
            self._texts[item_id] = ""
            self.transcription_failed = True

    def _observe_response(self, kind: str, event: Mapping[str, Any], at: float) -> None:
        if kind == "response.created":
            self._begin_response(event, at)
            return
        if event.get("response_id", self.response_id) != self.response_id:
            return
        if kind in _TEXT_DELTAS:
            self.reply += str(event.get("delta", ""))
            self.marks.first_text = self.marks.first_text or at
        elif kind == "response.output_audio.delta":
            self._add_audio(event, at)
        elif kind == "response.done":
            self._end_response(event, at)

    def _begin_response(self, event: Mapping[str, Any], at: float) -> None:
        self._owed = False
        self.response_id = str(event.get("response", {}).get("id", ""))
        self.reply, self.status, self.status_reason = "", "", ""
        self.audio.clear()
        self.timing_ms, self.most_ahead_s, self.longest_gap_s = {}, 0.0, 0.0
        marks = self.marks
        marks.response_created = at
        marks.first_text = marks.first_audio = marks.last_audio = marks.done = None

    def _add_audio(self, event: Mapping[str, Any], at: float) -> None:
        try:
            audio = base64.b64decode(event.get("delta", ""), validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise ClientError("the server sent audio that is not base64") from None
        marks = self.marks
        if self.audio:
            self.longest_gap_s = max(self.longest_gap_s, at - self._played_out)
            self._played_out = max(self._played_out, at)
        else:
            self._played_out = at
        self.audio += audio
        self._played_out += len(audio) / _BYTES_PER_S
        marks.first_audio = marks.first_audio or at
        marks.last_audio = at
        # Had playback begun with the first delta, this much would now wait to be played.
        ahead_s = len(self.audio) / _BYTES_PER_S - (at - marks.first_audio)
        self.most_ahead_s = max(self.most_ahead_s, ahead_s)

    def _end_response(self, event: Mapping[str, Any], at: float) -> None:
        response = event.get("response", {})
        if response.get("id", self.response_id) != self.response_id:
            return
        self.status = str(response.get("status", ""))
        details = response.get("status_details") or {}
        failure = details.get("error") or {}
        self.status_reason = str(failure.get("message") or details.get("reason") or "")
        extra = response.get("voiced") or {}
        self.timing_ms = dict(extra.get("timing_ms") or {})
        self.marks.done = at


async def run_spoken_turn(client: RealtimeClient, microphone: Microphone) -> TurnRecorder:
    """Play `microphone` into the session until its speech is answered and transcribed.

    The microphone stays open, sending silence, as a person's would. Raises `ClientError` when
    no speech is noticed within 3 s after its end, on a server `error`, and when the connection
    is lost. Deadlines are the caller's scope; cancelling leaves the connection open, though
    perhaps with half a frame sent, so close it.
    """
    recorder = TurnRecorder(spoken=True)
    lost: ClientError | None = None
    async with trio.open_nursery() as nursery:

        async def play() -> None:
            nonlocal lost
            try:
                await microphone.play(client)
            except ClientError as exc:
                lost = exc
                nursery.cancel_scope.cancel(reason="the connection was lost")

        nursery.start_soon(play)
        try:
            await _follow(client, recorder, microphone)
        except ClientError as exc:
            # Raised below: the nursery would wrap it in a group.
            lost = exc
        nursery.cancel_scope.cancel(reason="the turn is over")
    if lost is not None:
        raise lost
    return recorder


async def _follow(client: RealtimeClient, recorder: TurnRecorder, microphone: Microphone) -> None:
    while True:
        received = await _receive_until(client, _deadline(recorder, microphone))
        recorder.marks.end_of_speech = microphone.end_of_speech
        if received is not None:
            recorder.observe(received.event, received.at)
        settled = trio.current_time() >= _deadline(recorder, microphone)
        if microphone.end_of_speech is None or not settled:
            continue
        if not recorder.heard:
            raise ClientError("the server noticed no speech in the audio")
        if recorder.answered:
            return


def _deadline(recorder: TurnRecorder, microphone: Microphone) -> float:
    """When the turn is over, should nothing more arrive until then."""
    ended = microphone.end_of_speech
    if ended is None:
        return microphone.expected_end + _LATENESS_S
    if not recorder.heard:
        return ended + _HEARING_GRACE_S
    if not recorder.answered:
        return inf
    done = recorder.marks.done or ended
    if not recorder.transcribed:
        return max(done, ended) + _TRANSCRIPT_GRACE_S
    if (recorder.marks.committed or 0.0) < ended:
        # Answered before the speech was over: the rest of it may still be noticed.
        return max(done, ended + _NOTICE_S)
    return done


async def _receive_until(client: RealtimeClient, deadline: float) -> Received | None:
    received = None
    with trio.CancelScope(deadline=deadline):
        received = await client.receive()
    return received


async def run_typed_turn(client: RealtimeClient, text: str) -> TurnRecorder:
    """Send `text` as the user's message, and follow the response to its end.

    The moment it was sent stands as `end_of_speech`. Raises `ClientError` on a server `error`
    and when the connection is lost. Deadlines are the caller's scope.
    """
    recorder = TurnRecorder(spoken=False)
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    recorder.marks.end_of_speech = trio.current_time()
    await client.send({"type": "conversation.item.create", "item": item})
    await client.send({"type": "response.create"})
    while not recorder.answered:
        received = await client.receive()
        recorder.observe(received.event, received.at)
    return recorder
