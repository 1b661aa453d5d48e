"""A conversation driven by hand: inputs in, wire events out, as a client would print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.clients.oracles import judge_event
from voiced.conversation import inputs as inp
from voiced.conversation.checks import violations
from voiced.conversation.config import Audio, AudioIn, SessionConfig, Transcription
from voiced.conversation.core import begin, step
from voiced.conversation.effects import Effect, Emit, Generate
from voiced.conversation.given import NewMessage
from voiced.conversation.items import InputText

if TYPE_CHECKING:
    from voiced.conversation.detection import TurnDetection


class Talk:
    """One session; `take` returns the events of a step as JSON objects."""

    def __init__(
        self,
        *,
        detection: TurnDetection | None = None,
        transcribes: bool = False,
        history_items: int = 200,
        holds: bool = False,
        foresees: bool = False,
    ) -> None:
        audio = AudioIn(
            turn_detection=detection, transcription=Transcription() if transcribes else None
        )
        config = SessionConfig(
            id="sess_1", model="voiced", expires_at=3_600, audio=Audio(input=audio)
        )
        self.state, self.effects = begin(
            config, seed="s", history_items=history_items, holds=holds, foresees=foresees
        )
        self.events: list[dict[str, Any]] = []
        self.generated: list[Generate] = []
        self._keep()

    def take(self, *inputs: inp.Input) -> list[dict[str, Any]]:
        """Feed inputs in turn; what their steps emitted."""
        self.events = []
        all_effects: list[Effect] = []
        for event in inputs:
            before = self.state
            self.state, self.effects = step(before, event)
            assert violations(before, self.state, self.effects) == []
            all_effects += self.effects
            self._keep()
        self.effects = all_effects
        return self.events

    def _keep(self) -> None:
        for effect in self.effects:
            if isinstance(effect, Emit):
                self.events.append(judge_event(effect.event))
            elif isinstance(effect, Generate):
                self.generated.append(effect)

    @property
    def types(self) -> list[str]:
        """Types of the events of the last `take`, in order."""
        return [event["type"] for event in self.events]

    def one(self, kind: str) -> dict[str, Any]:
        """The only event of that type in the last `take`."""
        (event,) = (event for event in self.events if event["type"] == kind)
        return event

    # -- what happens often ----------------------------------------------------------------

    def type_in(self, text: str, behind: str | None = None) -> str:
        """A typed user message; its id."""
        self.take(typed(text, behind))
        return str(self.one("conversation.item.added")["item"]["id"])

    def ask(self, **overrides: object) -> str:
        """`response.create`; the id of the response."""
        self.take(inp.CreateResponse(overrides=overrides))
        return str(self.one("response.created")["response"]["id"])

    def speak(self, response_id: str, *clauses: tuple[str, float], whole_ms: float = 0.0) -> None:
        """Clauses of a reply, each with so many milliseconds of audio sent."""
        response = self.state.response(response_id)
        first = len(response.message.spans) if response is not None and response.message else 0
        events: list[inp.Input] = []
        for span, (text, sent_ms) in enumerate(clauses, first):
            events.append(inp.ReplyText(response_id=response_id, text=text))
            if sent_ms:
                events.append(audio(response_id, span, sent_ms, whole_ms))
        self.take(*events)

    def answer(self, *clauses: tuple[str, float], **overrides: object) -> str:
        """A whole spoken reply; the id of its item."""
        response_id = self.ask(**overrides)
        self.speak(response_id, *clauses)
        self.take(inp.ReplyEnded(response_id=response_id, finish="stop"))
        return str(self.one("response.output_item.done")["item"]["id"])

    def context(self) -> list[tuple[str, str]]:
        """What the model would be shown now."""
        response_id = self.ask(conversation="none")
        messages = self.generated[-1].messages
        self.take(inp.CancelResponse(response_id=response_id))
        return [(message["role"], message["content"]) for message in messages]


def typed(
    text: str,
    behind: str | None = None,
    *,
    item_id: str | None = None,
    event_id: str | None = None,
) -> inp.CreateItem:
    """`conversation.item.create` with a user's text."""
    item = NewMessage(role="user", content=(InputText(text),), id=item_id)
    return inp.CreateItem(item=item, previous_item_id=behind, event_id=event_id)


def audio(response_id: str, span: int, sent_ms: float, whole_ms: float = 0.0) -> inp.ReplyAudio:
    """So many milliseconds of silence as audio of a clause."""
    pcm = b"\0\0" * int(sent_ms * 24)
    return inp.ReplyAudio(
        response_id=response_id, span=span, audio=pcm, duration_ms=sent_ms, clause_ms=whole_ms
    )
