"""Tells those who watch the daemon what a session is at, by the events that its client gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from voiced.conversation import events as ev
from voiced.telemetry.insights import Fault, Insights, PartialResult, Warning_

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.conversation.items import ResponseResource

State = Literal["hearing", "heard", "answering", "speaking", "listening"]

MOST_TEXT = 20_000
"""Characters of a text so far that are kept and told: its end."""

MOST_TEXTS = 8
"""Texts kept at once: what is heard, what is said, and a few whose items are gone already."""


class Telling:
    """What one session is at, and telling it. Nothing here waits; where nobody watches it costs a
    look at the type of each event. Words are gathered only where observers may read them."""

    __slots__ = (
        "_heard_item",
        "_hearing",
        "_insights",
        "_item",
        "_responses",
        "_session",
        "_texts",
        "_told",
    )

    def __init__(self, session_id: str, insights: Insights) -> None:
        self._session = session_id
        self._insights = insights
        self._hearing: Literal["hearing", "heard"] | None = None
        self._responses: dict[str, Literal["answering", "speaking"]] = {}
        self._heard_item: str | None = None
        self._item: str | None = None
        self._texts: dict[str, str] = {}
        self._told: State = "listening"

    @property
    def state(self) -> State:
        """What the session is at: somebody who speaks comes before an answer to them."""
        if self._hearing == "hearing":
            return "hearing"
        if "speaking" in self._responses.values():
            return "speaking"
        if self._responses:
            return "answering"
        return self._hearing or "listening"

    def now(self) -> PartialResult:
        """For somebody who comes now."""
        return PartialResult(session_id=self._session, state=self.state, item_id=self._item)

    def see(self, event: ev.ServerEvent) -> None:
        """The client is sent `event`."""
        match event:
            case ev.OutputAudioDelta():
                if self._responses.get(event.response_id) == "answering":
                    self._responses[event.response_id] = "speaking"
                    self._tell(event.item_id)
            case ev.AudioTranscriptDelta() | ev.OutputTextDelta() | ev.TranscriptionDelta():
                self._add(event.item_id, event.delta)
            case ev.SpeechStartedEvent():
                self._hearing = "hearing"
                self._tell(event.item_id)
            case ev.SpeechStoppedEvent() | ev.BufferCommitted():
                self._hearing, self._heard_item = "heard", event.item_id
                self._tell(event.item_id)
            case ev.TranscriptionCompleted():
                self._end_hearing(event.item_id)
                self._texts.pop(event.item_id, None)
                self._tell(event.item_id, text=event.transcript[-MOST_TEXT:], whole=True)
            case ev.TranscriptionFailed():
                self._end_hearing(event.item_id)
                self._texts.pop(event.item_id, None)
                self._tell(event.item_id)
                self._fault("transcription_failed", "What was said could not be understood", event)
            case ev.ResponseCreated():
                self._responses[event.response.id] = "answering"
                self._tell(None)
            case ev.ResponseDone():
                self._end_response(event.response)

    def overhear(self, words: str) -> None:
        """Somebody speaks, and has said that so far. The client is told when they are done."""
        if words:
            self._tell(self._item, text=words[-MOST_TEXT:], whole=True)

    def lose_client(self) -> None:
        """The client does not read: what waits for it has no more room."""
        message = "A client does not read what it is sent, and is disconnected."
        self._insights.warning(
            Warning_(code="client_does_not_read", message=message, subject=self._session)
        )

    def fail(self) -> None:
        """The session ends for a fault of ours."""
        message = "A session ended by a fault of the server; its log has more."
        self._insights.error(Fault(code="session_failed", message=message, subject=self._session))

    def _end_hearing(self, item_id: str) -> None:
        if self._hearing == "heard" and item_id == self._heard_item:
            self._hearing = None

    def _end_response(self, response: ResponseResource) -> None:
        self._responses.pop(response.id, None)
        if self._hearing == "heard":
            self._hearing = None  # it may be answered without ever being written down
        for item in response.output:
            self._texts.pop(item.id, None)
        own = response.voiced if isinstance(response.voiced, dict) else {}
        self._tell(None, timings_ms=own.get("timing_ms", {}))
        details = response.status_details
        if response.status == "failed" and details is not None and details.error is not None:
            code = details.error.code or "response_failed"
            message = f"A response failed: {code}."
            self._insights.error(
                Fault(code="response_failed", message=message, subject=self._session)
            )

    def _fault(self, code: str, words: str, event: ev.TranscriptionFailed) -> None:
        message = f"{words}: {event.error.code}."
        self._insights.error(Fault(code=code, message=message, subject=self._session))

    def _add(self, item_id: str, delta: str) -> None:
        if not self._insights.transcripts:
            return
        text = self._texts[item_id] = (self._texts.get(item_id, "") + delta)[-MOST_TEXT:]
        if len(self._texts) > MOST_TEXTS:
            del self._texts[next(iter(self._texts))]
        self._tell(item_id, text=text, whole=True)

    def _tell(
        self,
        item_id: str | None,
        *,
        text: str | None = None,
        timings_ms: Mapping[str, float] | None = None,
        whole: bool = False,
    ) -> None:
        state = self.state
        news = whole or timings_ms is not None or (state, item_id) != (self._told, self._item)
        self._told, self._item = state, item_id
        if news and self._insights.wanted("partial_result"):
            self._insights.partial_result(
                PartialResult(
                    session_id=self._session,
                    state=state,
                    item_id=item_id,
                    text=text,
                    timings_ms=dict(timings_ms or {}),
                )
            )
