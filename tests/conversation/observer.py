"""An observer that knows only what goes in and what comes out, and the ten invariants.

It rebuilds from server events what a client believes, and from the inputs what was said, so
that it shares no code with what it judges. Words are told apart by being unique.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from voiced.conversation import effects as fx
from voiced.conversation import events as ev
from voiced.conversation import inputs as inp
from voiced.conversation.items import AudioFormat, Message, PcmaFormat, PcmFormat, PcmuFormat

FORMATS: dict[str, AudioFormat] = {
    "audio/pcm": PcmFormat(),
    "audio/pcmu": PcmuFormat(),
    "audio/pcma": PcmaFormat(),
}

ROUNDING_MS = 1
"""Truncation counts whole milliseconds: a clause cut by less was heard to its end."""


@dataclass
class SeenClause:
    """A clause of a spoken reply: its words, and how much of its audio went out."""

    words: list[str]
    sent_ms: Fraction = Fraction(0)
    whole_ms: Fraction = Fraction(0)


@dataclass
class SeenItem:
    """An item as a client has it, with the words that were said in it."""

    role: str
    status: str
    words: list[str] = field(default_factory=list)
    clauses: list[SeenClause] = field(default_factory=list)
    heard_ms: Fraction | None = None
    transcribing: bool = False

    def known_words(self) -> list[str]:
        """The words that reached the other side: those whose time was played to the end."""
        if not self.clauses:
            return self.words
        if self.status == "completed" and self.heard_ms is None:
            return [word for clause in self.clauses for word in clause.words]
        sent = sum((clause.sent_ms for clause in self.clauses), Fraction(0))
        left = sent if self.heard_ms is None else self.heard_ms
        known: list[str] = []
        for clause in self.clauses:
            if left < ROUNDING_MS:
                break
            reached = min(left, clause.sent_ms)
            length = max(clause.sent_ms, clause.whole_ms)
            count = len(clause.words)
            for number, word in enumerate(clause.words, 1):
                missing = length * Fraction(number, count) - reached
                if missing < (ROUNDING_MS if number == count else Fraction(1, 10**6)):
                    known.append(word)
            left -= clause.sent_ms
        return known


@dataclass
class SeenResponse:
    """A response as a client follows it."""

    created: Any
    session: dict[str, Any]
    overrides: dict[str, Any]
    context: list[SeenItem | str] | None = None
    item_id: str | None = None
    item: SeenItem | None = None
    text: str = ""
    open: list[str] = field(default_factory=list)
    aborted: bool = False
    done: bool = False


class Observer:
    """Feed it every input with its effects; `broken` collects `(invariant, what)`."""

    def __init__(self) -> None:
        self.broken: list[tuple[int, str]] = []
        self.session: dict[str, Any] = {}
        self.order: list[str] = []
        self.items: dict[str, SeenItem] = {}
        self.responses: dict[str, SeenResponse] = {}
        self.unheard: dict[str, SeenItem] = {}
        self.unstored: set[str] = set()
        self.interrupted: set[str] = set()
        self.held: tuple[str, int] | None = None
        self.closed = False
        self.last_input: inp.Input | None = None
        self.last_event: Any = None

    # -- feeding ---------------------------------------------------------------------------

    def watch(self, event: inp.Input | None, effects: list[fx.Effect]) -> None:
        """One step: what went in, and what came out."""
        self.last_input = event
        if self.closed and effects:
            self.broken.append((4, "something after the end of the session"))
        if isinstance(event, inp.TranscriptReady):
            self.hear_user(event.item_id, event.text.split())
        elif isinstance(event, inp.TranscriptFailed):
            self.hear_user(event.item_id, [])
        for effect in effects:
            match effect:
                case fx.Emit():
                    self.see(effect.event)
                    self.last_event = effect.event
                case fx.Abort():
                    self.responses[effect.response_id].aborted = True
                case fx.StoreItem():
                    self.unstored.discard(effect.item.id)
                case fx.HoldReply():
                    self.see_hold(effect.response_id)
                case fx.EndHold():
                    if self.held is None or self.held[0] != effect.response_id:
                        self.broken.append((6, "the end of a hold that there was not"))
                    self.held = None
                case fx.Generate():
                    self.see_generate(effect)
                case fx.Close():
                    self.closed = True
        self.after_step()

    def see_hold(self, response_id: str) -> None:
        sent = self.last_input
        item = self.responses[response_id].item if response_id in self.responses else None
        if response_id not in self.active() or item is None or item.heard_ms is not None:
            self.broken.append((6, "held for a reply that nobody hears"))
        if not isinstance(sent, inp.SpeechStarted) or self.held is not None:
            self.broken.append((6, "held for no sound"))
            return
        self.held = (response_id, sent.audio_start_ms)

    def hear_user(self, item_id: str, words: list[str]) -> None:
        item = self.unheard.pop(item_id, None)
        if item is not None:
            item.words, item.transcribing = words, False

    def active(self) -> list[str]:
        """Ids of the responses that run in the conversation."""
        return [
            response_id
            for response_id, response in self.responses.items()
            if not response.done and response.created.conversation_id is not None
        ]

    def running(self) -> list[str]:
        """Ids of all responses that run."""
        return [key for key, response in self.responses.items() if not response.done]

    # -- what comes out --------------------------------------------------------------------

    def see(self, event: Any) -> None:  # noqa: ANN401 - any server event
        response_id = getattr(event, "response_id", None)
        if response_id is not None:
            self.see_within(self.responses.get(response_id), event)
            return
        match event:
            case ev.SessionCreated() | ev.SessionUpdated():
                self.session = event.session
            case ev.ResponseCreated():
                self.see_created(event.response)
            case ev.ResponseDone():
                self.see_done(event.response)
            case ev.ItemAdded():
                self.see_added(event)
            case ev.ItemDone():
                self.see_item_done(event)
            case ev.ItemDeleted():
                self.order.remove(event.item_id)
            case ev.ItemTruncated():
                item = self.items[event.item_id]
                heard = Fraction(event.audio_end_ms)
                if item.heard_ms is not None and heard > item.heard_ms:
                    self.broken.append((10, "a truncation gave back what was cut"))
                item.heard_ms = heard
            case ev.SpeechStartedEvent():
                if self.held is not None and event.audio_start_ms != self.held[1]:
                    self.broken.append((6, "an interruption begins elsewhere than it was heard"))
                if isinstance(self.last_input, inp.SpeechDismissed):
                    self.broken.append((6, "a sound that was nothing was told"))
                detection = self.session["audio"]["input"]["turn_detection"]
                if detection.get("interrupt_response"):
                    self.interrupted |= set(self.active())
            case ev.BufferCommitted():
                self.unstored.add(event.item_id)
                if event.previous_item_id != (self.order[-1] if self.order else None):
                    self.broken.append((9, "committed behind something else than the last item"))

    def see_created(self, created: Any) -> None:  # noqa: ANN401 - a response resource
        if self.session["type"] != "realtime":
            self.broken.append((1, "a response where nobody answers"))
        if created.id in self.responses:
            self.broken.append((2, "created twice"))
        sent = self.last_input
        overrides = sent.overrides if isinstance(sent, inp.CreateResponse) else {}
        response = SeenResponse(created, self.session, overrides)
        if "input" in overrides:
            response.context = [self.given(entry) for entry in overrides["input"]]
        if created.conversation_id is not None:
            if self.active():
                self.broken.append((1, "a second response in the conversation"))
            if self.unstored:
                self.broken.append((8, "answered before it was stored"))
            if any(not self.responses[key].done for key in self.interrupted):
                self.broken.append((6, "answered while the interrupted response goes on"))
        self.responses[created.id] = response

    def given(self, entry: dict[str, Any]) -> SeenItem | str:
        if entry["type"] == "item_reference":
            item = self.items[entry["id"]]
            return item if item.transcribing else " ".join(item.known_words())
        return " ".join(str(part["text"]) for part in entry["content"])

    def see_done(self, done: Any) -> None:  # noqa: ANN401 - a response resource
        response = self.responses.get(done.id)
        if response is None or response.done:
            self.broken.append((2, "done without being active"))
            return
        response.done = True
        if response.open:
            self.broken.append((3, f"done while open: {response.open}"))
        created = response.created
        for name in ("conversation_id", "output_modalities", "max_output_tokens", "audio"):
            if getattr(done, name) != getattr(created, name):
                self.broken.append((7, f"{name} changed while it ran"))
        if done.id in self.interrupted:
            details = done.status_details
            if details is None or details.reason != "turn_detected":
                self.broken.append((6, f"an interrupted response ended as {done.status}"))
            if not response.aborted:
                self.broken.append((6, "an interrupted response still has its engines"))

    def see_within(
        self,
        response: SeenResponse | None,
        event: Any,  # noqa: ANN401 - any event within a response
    ) -> None:
        if response is None or response.done:
            self.broken.append((4, f"{type(event).__name__} outside of its response"))
            return
        if response.aborted and isinstance(event, ev.OutputAudioDelta):
            self.broken.append((4, "audio after the response was stopped"))
        match event:
            case ev.OutputItemAdded():
                response.open.append("output item")
                response.item_id = event.item.id
                response.item = SeenItem("assistant", "in_progress")
            case ev.ContentPartAdded():
                response.open.append("part")
            case ev.OutputTextDelta() | ev.AudioTranscriptDelta():
                self.see_text(response, event)
            case ev.OutputAudioDelta():
                self.see_audio(response)
            case ev.OutputTextDone():
                self.compare(response, event.text, "output_text.done")
            case ev.AudioTranscriptDone():
                self.compare(response, event.transcript, "output_audio_transcript.done")
            case ev.ContentPartDone():
                text = event.part.text if event.part.type == "text" else event.part.transcript
                self.compare(response, text, "content_part.done")
                self.close(response, "part")
            case ev.OutputItemDone():
                self.close(response, "output item")
        modality = response.created.output_modalities[0]
        if isinstance(event, ev.OutputTextDelta) != (modality == "text") and isinstance(
            event, ev.OutputTextDelta | ev.AudioTranscriptDelta | ev.OutputAudioDelta
        ):
            self.broken.append((7, f"{type(event).__name__} in a response of {modality}"))

    def see_text(self, response: SeenResponse, event: Any) -> None:  # noqa: ANN401
        if "part" not in response.open or response.item is None:
            self.broken.append((3, "text outside of a part"))
            return
        response.text += event.delta
        if isinstance(event, ev.OutputTextDelta):
            response.item.words += event.delta.split()
        else:
            response.item.clauses.append(SeenClause(event.delta.split()))

    def see_audio(self, response: SeenResponse) -> None:
        sent = self.last_input
        if "part" not in response.open or response.item is None:
            self.broken.append((3, "audio outside of a part"))
        elif isinstance(sent, inp.ReplyAudio) and response.item.clauses:
            clause = response.item.clauses[sent.span]
            clause.sent_ms += Fraction(sent.duration_ms)
            clause.whole_ms = Fraction(sent.clause_ms)

    def compare(self, response: SeenResponse, text: object, where: str) -> None:
        if text != response.text:
            self.broken.append((5, f"{where} is not the sum of the deltas"))

    def close(self, response: SeenResponse, what: str) -> None:
        if not response.open or response.open.pop() != what:
            self.broken.append((3, f"{what} closed out of order"))

    # -- items -----------------------------------------------------------------------------

    def see_added(self, event: ev.ItemAdded) -> None:
        sent, item = self.last_input, event.item
        expected = self.order[-1] if self.order else None
        if isinstance(sent, inp.CreateItem) and sent.previous_item_id is not None:
            expected = None if sent.previous_item_id == "root" else sent.previous_item_id
        if event.previous_item_id != expected:
            self.broken.append((9, "added behind another item than it should be"))
        place = 0 if expected is None else self.order.index(expected) + 1
        if item.id in self.order:
            self.broken.append((9, "an item was added twice"))
        self.order.insert(place, item.id)
        for response in self.responses.values():
            if response.item_id == item.id and response.item is not None and not response.done:
                response.open.append("item")
                self.items[item.id] = response.item
                return
        content = item.content if isinstance(item, Message) else ()
        words = [word for part in content for word in getattr(part, "text", "").split()]
        spoken = isinstance(self.last_event, ev.BufferCommitted) and self.transcribes()
        self.items[item.id] = SeenItem(
            getattr(item, "role", "tool"), item.status, words, transcribing=spoken
        )
        if spoken:
            self.unheard[item.id] = self.items[item.id]

    def transcribes(self) -> bool:
        """Whether what is said is put into words: where nobody answers, only on request."""
        given = self.session["audio"]["input"]
        return bool(self.session["type"] == "realtime" or given["transcription"])

    def see_item_done(self, event: ev.ItemDone) -> None:
        item_id, front = event.item.id, None
        if item_id in self.order:
            place = self.order.index(item_id)
            front = self.order[place - 1] if place else None
            self.items[item_id].status = event.item.status
        if event.previous_item_id != front:
            self.broken.append((9, "previous_item_id is not the item in front"))
        for response in self.responses.values():
            if response.item_id == item_id and not response.done:
                if "item" in response.open:
                    self.close(response, "item")
                if response.text and response.item and response.item.heard_ms is None:
                    assert isinstance(event.item, Message)
                    part = event.item.content[0]
                    said = getattr(part, "text", None) or getattr(part, "transcript", None)
                    self.compare(response, said, "the item")

    # -- the model's context ---------------------------------------------------------------

    def see_generate(self, effect: fx.Generate) -> None:
        response = self.responses.get(effect.response_id)
        if response is None or response.done:
            self.broken.append((4, "work for a response that is over"))
            return
        if self.unstored:
            self.broken.append((8, "sent to the model before it was stored"))
        self.check_options(response, effect.options)
        if effect.say is not None:
            return
        shown = [
            word
            for message in effect.messages
            if message["role"] != "system" or message["content"] != effect.options.instructions
            for word in message["content"].split()
        ]
        if response.context is None:
            known = [word for key in self.order for word in self.items[key].known_words()]
        else:
            known = [
                word
                for entry in response.context
                for word in (entry.split() if isinstance(entry, str) else entry.words)
            ]
        if shown != known:
            self.broken.append((10, f"the model is shown {shown}, heard was {known}"))

    def check_options(self, response: SeenResponse, options: fx.ResponseOptions) -> None:
        session, wanted = response.session, response.overrides
        tokens = wanted.get("max_output_tokens", session["max_output_tokens"])
        output = {**session["audio"]["output"], **wanted.get("audio", {}).get("output", {})}
        voice = output["voice"]
        expected = fx.ResponseOptions(
            modality=wanted.get("output_modalities", session["output_modalities"])[0],
            instructions=wanted.get("instructions", session["instructions"]),
            format=FORMATS[output["format"]["type"]],
            voice=voice["id"] if isinstance(voice, dict) else voice,
            speed=session["audio"]["output"]["speed"],
            max_output_tokens=None if tokens == "inf" else tokens,
        )
        if options != expected:
            self.broken.append((7, f"runs on {options}, was created with {expected}"))

    # -- at the end of a step, and of the session ------------------------------------------

    def after_step(self) -> None:
        if self.unstored:
            self.broken.append((8, "a commit was not stored"))
        if self.held is not None and not self.closed:
            item = self.responses[self.held[0]].item
            if self.held[0] not in self.running() or item is None or item.heard_ms is not None:
                self.broken.append((6, "a sound is held with no reply to go on with"))
        for response_id in self.interrupted:
            if not self.responses[response_id].done:
                self.broken.append((6, "goes on although the user speaks"))
        self.interrupted.clear()
        if self.closed and self.running():
            self.broken.append((2, "created and never done"))
