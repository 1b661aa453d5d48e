"""Invariants 1 to 5, and half of 7: the life of responses, and of what they put out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from voiced.conversation import events as ev
from voiced.conversation.checks.step import Checks, Step, name
from voiced.conversation.items import FunctionCall

if TYPE_CHECKING:
    from voiced.conversation.checks.step import Follow
    from voiced.conversation.items import Entry
    from voiced.conversation.state import ActiveResponse

Owed = tuple[type[ev.ServerEvent], str]
"""A closing event that is still to come, and the item that it closes."""


class ResponseChecks(Checks):
    """Keeps account of `alive` and `default` for the others."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        before = step.before.responses
        self.snapshots = {r.id: r for r in before}
        self.written = {e.item.id: written(e) for r in before for e in r.outputs}
        self.open = {r.id: opened(r) for r in before}
        self.places = {r.id: [e.item.id for e in r.outputs] for r in before}
        self.unfinished = {e.item.id for r in before if r.id in step.default for e in r.outputs}

    def on_created(self, event: ev.ResponseCreated) -> None:
        step, response = self.step, event.response
        if response.conversation_id is not None:
            if step.default:
                step.report(1, "a second response in the conversation", response.id)
            step.default.add(response.id)
        if response.id in step.alive:
            step.report(2, "created twice", response.id)
        step.alive[response.id] = None
        self.open[response.id] = {}
        self.places[response.id] = []

    def on_done(self, event: ev.ResponseDone) -> None:
        step, response_id = self.step, event.response.id
        if response_id not in step.alive:
            step.report(2, "done without being active", response_id)
            return
        for kind, _ in self.open[response_id]:
            step.report(3, f"done before {kind.__name__}", response_id)
        if response_id in step.default and self.unfinished:
            step.report(3, "done before its item", response_id)
        del step.alive[response_id]
        step.default.discard(response_id)

    # -- outputs ---------------------------------------------------------------------------

    def on_output_added(self, event: ev.OutputItemAdded) -> None:
        item = event.item
        places = self.places[event.response_id]
        if event.output_index != len(places):
            self.step.report(3, "an output at another place than the next", event.response_id)
        places.append(item.id)
        self.written[item.id] = ""
        self.open[event.response_id][ev.OutputItemDone, item.id] = None
        if isinstance(item, FunctionCall):
            self.open[event.response_id][ev.CallArgumentsDone, item.id] = None

    def on_output_done(self, event: ev.OutputItemDone) -> None:
        self.close(event, event.item.id)

    def on_item_added(self, event: ev.ItemAdded) -> None:
        if event.item.status == "in_progress":
            self.unfinished.add(event.item.id)

    def on_item_done(self, event: ev.ItemDone) -> None:
        self.unfinished.discard(event.item.id)

    def on_part_added(self, event: ev.ContentPartAdded) -> None:
        self.look_at_place(event)
        self.open[event.response_id][ev.ContentPartDone, event.item_id] = None

    def on_part_done(self, event: ev.ContentPartDone) -> None:
        self.look_at_place(event)
        self.close(event, event.item_id)

    def on_audio(self, event: ev.InPart) -> None:
        self.look_at_place(event)
        if (ev.ContentPartDone, event.item_id) not in self.open[event.response_id]:
            self.step.report(3, f"{name(event)} outside of a part", event.response_id)

    def on_text(self, event: ev.OutputTextDelta | ev.AudioTranscriptDelta) -> None:
        self.on_audio(event)
        self.written[event.item_id] = self.written.get(event.item_id, "") + event.delta

    def on_text_done(self, event: ev.OutputTextDone) -> None:
        self.look_at_place(event)
        if event.text != self.written.get(event.item_id):
            self.step.report(5, "the text is not its deltas", event.response_id)

    def on_transcript_done(self, event: ev.AudioTranscriptDone) -> None:
        self.look_at_place(event)
        if event.transcript != self.written.get(event.item_id):
            self.step.report(5, "the transcript is not its deltas", event.response_id)

    def on_arguments(self, event: ev.CallArgumentsDelta) -> None:
        self.look_at_place(event)
        if (ev.CallArgumentsDone, event.item_id) not in self.open[event.response_id]:
            self.step.report(3, f"{name(event)} outside of a call", event.response_id)
        self.written[event.item_id] = self.written.get(event.item_id, "") + event.delta

    def on_arguments_done(self, event: ev.CallArgumentsDone) -> None:
        self.look_at_place(event)
        if event.arguments != self.written.get(event.item_id):
            self.step.report(5, "the arguments are not their deltas", event.response_id)
        self.close(event, event.item_id)

    def look_at_place(self, event: Any) -> None:  # noqa: ANN401 - any event of an output
        places = self.places[event.response_id]
        if event.item_id in places and places.index(event.item_id) != event.output_index:
            self.step.report(3, f"{name(event)} at another place than its item", event.response_id)

    def close(self, event: Any, item_id: str) -> None:  # noqa: ANN401 - one that closes
        if self.open[event.response_id].pop((type(event), item_id), self) is self:
            self.step.report(3, f"{name(event)} without its start", event.response_id)

    # -- the state afterwards --------------------------------------------------------------

    def compare(self) -> None:
        step, after = self.step, self.step.after
        active = [r.id for r in after.responses if r.conversation_id is not None]
        for response_id in active[1:]:
            step.report(1, "a second response in the conversation", response_id)
        remaining = {r.id for r in after.responses}
        if after.closed:
            for response_id in remaining:
                step.report(2, "left behind at the end of the session", response_id)
        for response_id in step.alive:
            if response_id not in remaining:
                step.report(2, "gone without its response.done", response_id)
        for response in after.responses:
            if response.id in step.alive:
                self.compare_response(response)
            else:
                step.report(2, "active outside of created and done", response.id)

    def compare_response(self, response: ActiveResponse) -> None:
        for entry in response.outputs:
            if written(entry) != self.written.get(entry.item.id):
                self.step.report(5, "the deltas are not what was written", response.id)
        if self.places[response.id] != [entry.item.id for entry in response.outputs]:
            self.step.report(3, "its outputs are not those that were added", response.id)
        was = self.snapshots.get(response.id)
        if was is not None and was.options != response.options:
            self.step.report(7, "its options changed", response.id)

    FOLLOW: ClassVar[Follow] = {
        ev.ResponseCreated: on_created,
        ev.ResponseDone: on_done,
        ev.OutputItemAdded: on_output_added,
        ev.OutputItemDone: on_output_done,
        ev.ItemAdded: on_item_added,
        ev.ItemDone: on_item_done,
        ev.ContentPartAdded: on_part_added,
        ev.ContentPartDone: on_part_done,
        ev.CallArgumentsDelta: on_arguments,
        ev.CallArgumentsDone: on_arguments_done,
        ev.OutputTextDelta: on_text,
        ev.AudioTranscriptDelta: on_text,
        ev.OutputAudioDelta: on_audio,
        ev.OutputAudioDone: on_audio,
        ev.OutputTextDone: on_text_done,
        ev.AudioTranscriptDone: on_transcript_done,
    }


def opened(response: ActiveResponse) -> dict[Owed, None]:
    """The closing events that the response still owes."""
    owed: dict[Owed, None] = {}
    for entry in response.outputs:
        last = ev.ContentPartDone if entry.role is not None else ev.CallArgumentsDone
        owed[last, entry.item.id] = None
        owed[ev.OutputItemDone, entry.item.id] = None
    return owed


def written(entry: Entry) -> str:
    """The text that an output holds: of a message, or a call's arguments."""
    if isinstance(entry.item, FunctionCall):
        return entry.item.arguments
    spans = "".join(span.text for span in entry.spans)
    return spans or "".join(getattr(part, "text", "") for part in entry.content)
