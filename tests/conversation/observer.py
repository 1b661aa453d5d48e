"""An observer that knows only what goes in and what comes out, and the invariants.

It rebuilds from server events what a client believes, and from the inputs what was said, so
that it shares no code with what it judges. Words are told apart by being unique.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import msgspec
from msgspec import UNSET

from tests.conversation.seen import SeenClause, SeenItem, SeenResponse, SeenSummary
from voiced.conversation import effects as fx
from voiced.conversation import events as ev
from voiced.conversation import inputs as inp
from voiced.conversation.items import (
    AudioFormat,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    PcmaFormat,
    PcmFormat,
    PcmuFormat,
)

FORMATS: dict[str, AudioFormat] = {
    "audio/pcm": PcmFormat(),
    "audio/pcmu": PcmuFormat(),
    "audio/pcma": PcmaFormat(),
}


WORD = re.compile(r"w\d+$")
"""As `Walk.say` makes them."""


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
        self.call_ids: set[str] = set()
        self.speech: str | None = None
        self.armed: int | None = None
        self.time_is_over = False
        self.begun: fx.Prepare | None = None
        self.revision = 0
        self.closed = False
        self.summary: SeenSummary | None = None
        self.sent: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.cut: dict[str, int] = {}
        self.outlived: set[str] = set()
        self.last_input: inp.Input | None = None
        self.last_event: Any = None

    # -- feeding ---------------------------------------------------------------------------

    def watch(self, event: inp.Input | None, effects: list[fx.Effect]) -> None:
        """One step: what went in, and what came out."""
        self.last_input = event
        if self.closed and effects:
            self.broken.append((4, "something after the end of the session"))
        self.time_is_over = isinstance(event, inp.IdleTimeout) and self.armed is not None
        if isinstance(event, inp.IdleTimeout):
            self.armed = None
        if isinstance(event, inp.GuessDropped):
            self.revision = max(self.revision, event.revision)
        if isinstance(event, inp.TranscriptReady):
            self.hear_user(event.item_id, event.text.split())
        elif isinstance(event, inp.TranscriptFailed):
            self.hear_user(event.item_id, [])
        if isinstance(event, inp.Summarised) and not self.closed:
            self.sum_up(event)
        if isinstance(event, inp.ReplyEnded) and event.own:
            response = self.responses.get(event.response_id)
            if response is not None and not response.done and response.calls:
                response.calls[0].own = [str(message["tool_call_id"]) for message in event.own[1:]]
        for number, effect in enumerate(effects):
            match effect:
                case fx.TellLimits():
                    before = effects[number - 1]
                    if not (
                        isinstance(before, fx.Emit) and isinstance(before.event, ev.ResponseDone)
                    ):
                        self.broken.append((4, "limits told without a response that is done"))
                case fx.Emit():
                    self.see(effect.event)
                    self.last_event = effect.event
                case fx.Abort():
                    self.responses[effect.response_id].aborted = True
                case fx.KeepAudio():
                    self.see_kept(effect)
                case fx.CutAudio():
                    self.cut[effect.item_id] = effect.end_ms
                case fx.ForgetAudio():
                    self.kept.pop(effect.item_id, None)
                    self.outlived.discard(effect.item_id)
                case fx.StoreItem():
                    self.unstored.discard(effect.item.id)
                case fx.ArmIdle():
                    self.armed = effect.milliseconds
                case fx.HoldReply():
                    self.see_hold(effect.response_id)
                case fx.EndHold():
                    if self.held is None or self.held[0] != effect.response_id:
                        self.broken.append((6, "the end of a hold that there was not"))
                    self.held = None
                case fx.Prepare():
                    self.see_prepare(effect)
                case fx.DropPrepared():
                    if self.begun is None or self.begun.revision != effect.revision:
                        self.broken.append((12, "dropped what was not begun"))
                    self.begun = None
                case fx.Generate():
                    self.see_taken(effect)
                    self.see_generate(effect)
                case fx.Close():
                    self.closed = True
        if self.begun is not None and self.closed:
            self.broken.append((12, "begun and never dropped"))
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

    def see_prepare(self, effect: fx.Prepare) -> None:
        """An answer in advance: to the newest guess alone, while nothing else is answered."""
        guess = self.last_input
        if self.begun is not None:
            self.broken.append((12, "two answers in advance"))
        if not isinstance(guess, inp.TurnGuessed) or effect.revision <= self.revision:
            self.broken.append((12, "begun without a new guess"))
        elif (
            not effect.messages
            or effect.messages[-1]["content"].split()[-1:] != (guess.text.split()[-1:])
        ):
            self.broken.append((12, "begun for other words than those"))
        if self.active():
            self.broken.append((12, "begun beside an answer"))
        self.begun, self.revision = effect, effect.revision

    def see_taken(self, effect: fx.Generate) -> None:
        """What was begun is taken up where it asked the same; else it must be gone."""
        begun = self.begun
        if effect.prepared is None:
            if begun is not None and effect.response_id in self.active():
                self.broken.append((12, "another question, and what was begun goes on"))
            return
        if begun is None or begun.revision != effect.prepared:
            self.broken.append((12, "taken up what was not begun"))
        elif (begun.messages, begun.options) != (effect.messages, effect.options):
            self.broken.append((12, "taken up the answer to something else"))
        self.begun = None

    def hear_user(self, item_id: str, words: list[str]) -> None:
        item = self.unheard.pop(item_id, None)
        if item is not None:
            item.words, item.transcribing = item.words + words, False

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
                if event.session["audio"]["input"]["turn_detection"] is None:
                    self.speech = None
            case ev.BufferCleared():
                self.speech = None
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
                if isinstance(self.last_input, inp.DeleteItem):
                    self.forget_summary(event.item_id)
                self.outlived.add(event.item_id)
                self.sent.pop(event.item_id, None)
            case ev.ItemTruncated():
                item = self.items[event.item_id]
                self.forget_summary(event.item_id)
                heard = Fraction(event.audio_end_ms)
                if item.heard_ms is not None and heard > item.heard_ms:
                    self.broken.append((10, "a truncation gave back what was cut"))
                item.heard_ms = heard
                if self.cut.get(event.item_id) != event.audio_end_ms:
                    self.broken.append((11, "the audio was not cut where it was said to be"))
                self.sent.pop(event.item_id, None)
            case ev.SpeechStartedEvent():
                self.speech = event.item_id
                if self.held is not None and event.audio_start_ms != self.held[1]:
                    self.broken.append((6, "an interruption begins elsewhere than it was heard"))
                if isinstance(self.last_input, inp.SpeechDismissed):
                    self.broken.append((6, "a sound that was nothing was told"))
                detection = self.session["audio"]["input"]["turn_detection"]
                if detection.get("interrupt_response"):
                    self.interrupted |= set(self.active())
            case ev.TimeoutTriggered():
                if self.active() or self.speech is not None or self.held is not None:
                    self.broken.append((6, "told of silence while somebody speaks"))
                if not self.time_is_over:
                    self.broken.append((6, "told of a silence that was not timed"))
            case ev.BufferCommitted():
                self.speech = None
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
            response.context = [
                self.given(entry, number) for number, entry in enumerate(overrides["input"])
            ]
        if created.conversation_id is not None:
            if self.active():
                self.broken.append((1, "a second response in the conversation"))
            if self.unstored:
                self.broken.append((8, "answered before it was stored"))
            if any(not self.responses[key].done for key in self.interrupted):
                self.broken.append((6, "answered while the interrupted response goes on"))
        self.responses[created.id] = response

    def given(self, entry: dict[str, Any], number: int) -> SeenItem:
        """An item of `response.input` as it is now; what is to come of it may come."""
        if entry["type"] == "item_reference":
            item = self.items[entry["id"]]
            if item.transcribing:
                return item
            return replace(item, words=item.known_words(), clauses=[], own=list(item.own))
        if entry["type"] == "message":
            return SeenItem(
                "user", "completed", [w for p in entry["content"] for w in p["text"].split()]
            )
        call_id = str(entry.get("call_id", f"call_input_{number}"))
        text = str(entry.get("arguments", entry.get("output")))
        name = str(entry.get("name", ""))
        return SeenItem(entry["type"], "completed", call_id=call_id, text=text, name=name)

    def see_done(self, done: Any) -> None:  # noqa: ANN401 - a response resource
        response = self.responses.get(done.id)
        if response is None or response.done:
            self.broken.append((2, "done without being active"))
            return
        response.done = True
        still_open = {key: item.open for key, item in response.outputs.items() if item.open}
        if still_open:
            self.broken.append((3, f"done while open: {still_open}"))
        if [item.id for item in done.output] != list(response.outputs):
            self.broken.append((3, "its output is not what was added, in that order"))
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
                self.see_output(response, event)
            case ev.OutputItemDone():
                self.close(response, event, event.item.id, "output item")
            case ev.ContentPartAdded():
                self.output_of(response, event).open.append("part")
            case ev.OutputTextDelta() | ev.AudioTranscriptDelta():
                self.see_text(response, event)
            case ev.OutputAudioDelta():
                self.see_audio(response, event)
            case ev.OutputTextDone():
                self.compare(response, event, event.text)
            case ev.AudioTranscriptDone():
                self.compare(response, event, event.transcript)
            case ev.ContentPartDone():
                text = event.part.text if event.part.type == "text" else event.part.transcript
                self.compare(response, event, text)
                self.close(response, event, event.item_id, "part")
            case ev.CallArgumentsDelta():
                item = self.output_of(response, event)
                if "arguments" not in item.open:
                    self.broken.append((3, "arguments outside of a call"))
                item.text += event.delta
            case ev.CallArgumentsDone():
                self.see_arguments(response, event)
        modality = response.created.output_modalities[0]
        if isinstance(event, ev.OutputTextDelta) != (modality == "text") and isinstance(
            event, ev.OutputTextDelta | ev.AudioTranscriptDelta | ev.OutputAudioDelta
        ):
            self.broken.append((7, f"{type(event).__name__} in a response of {modality}"))

    def output_of(self, response: SeenResponse, event: Any) -> SeenItem:  # noqa: ANN401
        """The output that an event is of; a stray one where there is none."""
        item = response.outputs.get(event.item_id)
        if item is None:
            self.broken.append((3, f"{type(event).__name__} of an item that was not added"))
            return SeenItem("assistant", "in_progress")
        self.place(response, event, event.item_id)
        return item

    def place(self, response: SeenResponse, event: Any, item_id: str) -> None:  # noqa: ANN401
        if list(response.outputs).index(item_id) != event.output_index:
            self.broken.append((3, f"{type(event).__name__} at another place than its item"))

    def see_output(self, response: SeenResponse, event: ev.OutputItemAdded) -> None:
        item = event.item
        seen = SeenItem("assistant", "in_progress", open=["output item"])
        if isinstance(item, FunctionCall):
            seen.role, seen.name, seen.call_id = "function_call", item.name, item.call_id
            seen.open.append("arguments")
            if item.arguments or item.status != "in_progress":
                self.broken.append((5, "a call begins with arguments"))
            offered = [tool["name"] for tool in response.wants("tools", [])]
            if item.name not in offered or response.wants("tool_choice", "auto") == "none":
                self.broken.append((7, "a call of what was not offered"))
            if response.calls and response.wants("parallel_tool_calls", True) is False:
                self.broken.append((7, "two calls where one was allowed"))
            there = [self.items[key] for key in self.order]
            if ("function_call", item.call_id) in [(one.role, one.call_id) for one in there]:
                self.broken.append((3, "two calls of one id"))
            self.call_ids.add(item.call_id)
        elif response.item is not None:
            self.broken.append((3, "two messages in one response"))
        response.outputs[item.id] = seen
        self.place(response, event, item.id)

    def see_arguments(self, response: SeenResponse, event: ev.CallArgumentsDone) -> None:
        item = self.output_of(response, event)
        if event.arguments != item.text:
            self.broken.append((5, "the arguments are not the sum of the deltas"))
        if (event.name, event.call_id) != (item.name, item.call_id):
            self.broken.append((5, "the call ends as another"))
        if response.item is not None and response.item.open:
            self.broken.append((3, "a call was closed before the message"))
        if "arguments" in item.open:
            item.open.remove("arguments")
        else:
            self.broken.append((3, "arguments closed twice"))

    def see_text(self, response: SeenResponse, event: Any) -> None:  # noqa: ANN401
        item = self.output_of(response, event)
        if "part" not in item.open:
            self.broken.append((3, "text outside of a part"))
            return
        item.text += event.delta
        if isinstance(event, ev.OutputTextDelta):
            item.words += event.delta.split()
        else:
            item.clauses.append(SeenClause(event.delta.split()))

    def see_audio(self, response: SeenResponse, event: ev.OutputAudioDelta) -> None:
        sent = self.last_input
        item = self.output_of(response, event)
        if "part" not in item.open:
            self.broken.append((3, "audio outside of a part"))
        elif isinstance(sent, inp.ReplyAudio) and item.clauses:
            clause = item.clauses[sent.span]
            clause.sent_ms += Fraction(sent.duration_ms)
            clause.whole_ms = Fraction(sent.clause_ms)
            if response.created.conversation_id is not None and item.heard_ms is None:
                self.sent[event.item_id] = self.sent.get(event.item_id, 0) + 1

    def compare(self, response: SeenResponse, event: Any, text: object) -> None:  # noqa: ANN401
        if text != self.output_of(response, event).text:
            self.broken.append((5, f"{type(event).__name__} is not the sum of the deltas"))

    def close(self, response: SeenResponse, event: Any, item_id: str, what: str) -> None:  # noqa: ANN401
        item = response.outputs.get(item_id)
        if item is None or not item.open or item.open.pop() != what:
            self.broken.append((3, f"{what} closed out of order"))
        elif hasattr(event, "output_index"):
            self.place(response, event, item_id)

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
            seen = response.outputs.get(item.id)
            if seen is not None and not response.done:
                seen.open.append("item")
                self.items[item.id] = seen
                return
        if isinstance(item, FunctionCall):
            self.call_ids.add(item.call_id)
            self.items[item.id] = SeenItem("function_call", item.status, call_id=item.call_id)
            return
        if isinstance(item, FunctionCallOutput):
            self.items[item.id] = SeenItem(
                "function_call_output", item.status, call_id=item.call_id, text=item.output
            )
            return
        self.see_message(item)

    def see_message(self, item: Message) -> None:
        """A message that is no output: typed, said, or both. Words are behind the sound."""
        sent = self.last_input
        texts = [getattr(p, "text", "") or getattr(p, "transcript", "") or "" for p in item.content]
        words = [word for text in texts for word in text.split()]
        if any(getattr(part, "audio", UNSET) is not UNSET for part in item.content):
            self.broken.append((11, "audio in an event about an item"))
        given = isinstance(sent, inp.CreateItem) and any(
            getattr(part, "audio", UNSET) is not UNSET and part.transcript is None
            for part in getattr(sent.item, "content", ())
        )
        spoken = (given or isinstance(self.last_event, ev.BufferCommitted)) and self.transcribes()
        spoken = spoken and not isinstance(sent, inp.IdleTimeout)
        self.items[item.id] = SeenItem(item.role, item.status, words, transcribing=spoken)
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
            item = response.outputs.get(item_id)
            if item is None or response.done:
                continue
            if "arguments" in item.open or "part" in item.open:
                self.broken.append((3, "an item was closed before what is in it"))
            if "item" in item.open:
                item.open.remove("item")
            self.compare_whole(item, event.item)

    def compare_whole(self, item: SeenItem, whole: Item) -> None:
        if isinstance(whole, FunctionCall):
            said: str | None = whole.arguments
        elif isinstance(whole, Message) and item.text and item.heard_ms is None:
            part = whole.content[0]
            said = getattr(part, "text", None) or getattr(part, "transcript", None)
        else:
            return
        if said != item.text:
            self.broken.append((5, "the item is not the sum of the deltas"))

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
        self.check_calls(effect.messages)
        told, *messages = [m for m in effect.messages if m.get("name") != "silence"] or [{}]
        if told.get("role") != "system":
            told, messages = {"content": ""}, [told, *messages] if told else messages
        shown = [word for message in messages for word in self.words_of(message)]
        context, summary = response.context, None
        if context is None:
            summary = self.summary
            context = [self.items[key] for key in self.left(self.order)]
        self.check_told(told["content"], effect.options.instructions, summary)
        known = self.known_in(context)
        if shown != known:
            what = f"the model is shown {shown}, known is {known}"
            self.broken += [(10, what)] if summary is None else [(10, what), (13, what)]
        own = [
            message["tool_call_id"]
            for message in effect.messages
            if message["role"] == "tool" and message["tool_call_id"].startswith("own_")
        ]
        outputs = {item.call_id for item in context if item.role == "function_call_output"}
        expected = [
            call_id
            for item in context
            if item.role == "function_call"
            and (item.status == "completed" or item.call_id in outputs)
            for call_id in item.own
        ]
        if sorted(own) != sorted(expected):
            self.broken.append((10, f"of the daemon's own tools {own} are shown, not {expected}"))

    # -- summaries -------------------------------------------------------------------------

    def sum_up(self, event: inp.Summarised) -> None:
        """From now on this stands for those items; not where one has gone meanwhile."""
        if event.item_ids <= set(self.order):
            earlier = set() if self.summary is None else self.summary.item_ids
            ids = event.item_ids | (earlier & set(self.order))
            self.summary = SeenSummary(event.text.split(), set(ids))

    def forget_summary(self, item_id: str) -> None:
        """The client deleted that item, or heard less of it."""
        if self.summary is not None and item_id in self.summary.item_ids:
            self.summary = None

    def left(self, item_ids: list[str]) -> list[str]:
        """Those of these items that were not summed up."""
        gone = set() if self.summary is None else self.summary.item_ids
        return [item_id for item_id in item_ids if item_id not in gone]

    def check_told(self, text: str, instructions: str, summary: SeenSummary | None) -> None:
        """The system's words are the instructions and what was summed up, once."""
        if not text.startswith(instructions):
            self.broken.append((7, f"the model is told {text!r}, and not {instructions!r}"))
            return
        told = [word for word in text.removeprefix(instructions).split() if WORD.match(word)]
        words = [] if summary is None else summary.words
        if told != words:
            self.broken.append((13, f"the model is told {told}, summed up was {words}"))

    def words_of(self, message: dict[str, Any]) -> list[str]:
        """The words of a message; the output of a client's function with its call."""
        if message["role"] != "tool":
            return (message["content"] or "").split()
        call_id = message["tool_call_id"]
        return [] if call_id.startswith("own_") else [f"{call_id}: {message['content']}"]

    def known_in(self, context: list[SeenItem]) -> list[str]:
        """What the model is to be shown of these items: of each call its newest output, in the
        place of that, or that it is pending, in the place of the call."""
        newest = {
            item.call_id: number
            for number, item in enumerate(context)
            if item.role == "function_call_output"
        }
        known: list[str] = []
        for number, item in enumerate(context):
            if item.role == "function_call":
                if item.call_id not in newest and item.status == "completed":
                    known.append(f"{item.call_id}: The result has not arrived yet.")
            elif item.role == "function_call_output":
                if newest[item.call_id] == number:
                    known.append(f"{item.call_id}: {item.text}")
            else:
                known += item.known_words()
        return known

    def check_calls(self, messages: tuple[dict[str, Any], ...]) -> None:
        """Each call is followed by its output, and each output follows its call."""
        waiting: list[str] = []
        for message in messages:
            if message["role"] == "tool":
                if message["tool_call_id"] not in waiting:
                    self.broken.append((10, "the model is shown an output without its call"))
                else:
                    waiting.remove(message["tool_call_id"])
                continue
            if waiting:
                self.broken.append((10, "the model is shown a call without its output"))
            waiting = [call["id"] for call in message.get("tool_calls", ())]
        if waiting:
            self.broken.append((10, "the model is shown a call without its output"))

    def check_options(self, response: SeenResponse, options: fx.ResponseOptions) -> None:
        session, wanted = response.session, response.overrides
        tokens = response.wants("max_output_tokens", None)
        output = {**session["audio"]["output"], **wanted.get("audio", {}).get("output", {})}
        voice = output["voice"]
        expected = {
            "modality": response.wants("output_modalities", None)[0],
            "instructions": response.wants("instructions", None),
            "format": FORMATS[output["format"]["type"]],
            "voice": voice["id"] if isinstance(voice, dict) else voice,
            "speed": session["audio"]["output"]["speed"],
            "max_output_tokens": None if tokens == "inf" else tokens,
            "tools": response.wants("tools", None),
            "tool_choice": response.wants("tool_choice", None),
            "parallel_tool_calls": response.wants("parallel_tool_calls", True),
        }
        found = msgspec.json.decode(msgspec.json.encode(options))
        if found != msgspec.json.decode(msgspec.json.encode(expected)):
            self.broken.append((7, f"runs on {found}, was created with {expected}"))

    # -- at the end of a step, and of the session ------------------------------------------

    def see_kept(self, effect: fx.KeepAudio) -> None:
        """Audio to keep: it must be what was just sent, in an item of the conversation."""
        sent = self.last_event
        if not isinstance(sent, ev.OutputAudioDelta) or sent.delta != effect.audio:
            self.broken.append((11, "audio is kept that was not sent"))
        if self.items[effect.item_id].heard_ms is not None:
            self.broken.append((11, "audio is kept of an item that was cut"))
        if effect.item_id not in self.order:
            self.broken.append((11, "audio is kept of an item that is not in the conversation"))
        self.kept[effect.item_id] = self.kept.get(effect.item_id, 0) + 1

    def after_step(self) -> None:
        if self.outlived:
            self.broken.append((11, "the audio of an item outlives it"))
        for item_id, count in self.sent.items():
            if self.kept.get(item_id, 0) != count:
                self.broken.append((11, "audio was sent and not kept"))
        if self.unstored:
            self.broken.append((8, "a commit was not stored"))
        busy = self.active() or self.speech is not None or self.held is not None
        if self.armed is not None and busy and not self.closed:
            self.broken.append((6, "silence is timed while somebody speaks"))
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
