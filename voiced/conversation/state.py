"""The state of one conversation, and the draft in which one step changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, structs

from voiced.conversation.config import AnySessionConfig
from voiced.conversation.detection import Detections
from voiced.conversation.effects import Effect, Emit, Prepare, ResponseOptions
from voiced.conversation.items import Entry, FunctionCall, is_call
from voiced.conversation.summary import Summary

if TYPE_CHECKING:
    from voiced.conversation.events import ServerEvent


class ActiveResponse(Struct, frozen=True, kw_only=True):
    """A response between its `response.created` and its `response.done`.

    `conversation_id` is None for an out-of-band response. `outputs` are its items from the
    moment they were opened, each at its `output_index`: one message at most, and calls of the
    client's functions. While the response lives these copies are the true ones, and those among
    the conversation's entries only mark the places, so that a delta costs the same however long
    the history is. All are closed together when the response ends. `waiting_for` are the spoken
    items whose words it needs; without those of `answers`, the turn that it is about, it cannot
    go on. `say` is set for an announcement.
    """

    id: str
    options: ResponseOptions
    conversation_id: str | None
    max_output_tokens: int | Literal["inf"]
    metadata: dict[str, str] | None = None
    waiting_for: frozenset[str] = frozenset()
    answers: str | None = None
    context: tuple[Entry, ...] | None = None
    say: str | None = None
    outputs: tuple[Entry, ...] = ()

    @property
    def message(self) -> Entry | None:
        """The message among the outputs, once it was opened."""
        return next((entry for entry in self.outputs if entry.role is not None), None)

    def output(self, item_id: str) -> Entry | None:
        """The output that is that item."""
        return next((entry for entry in self.outputs if entry.item.id == item_id), None)

    def index_of(self, item_id: str) -> int:
        """The `output_index` of an item among the outputs."""
        return next(i for i, entry in enumerate(self.outputs) if entry.item.id == item_id)

    def with_output(self, entry: Entry) -> ActiveResponse:
        """This response with a newer copy of one of its outputs."""
        outputs = tuple(entry if e.item.id == entry.item.id else e for e in self.outputs)
        return structs.replace(self, outputs=outputs)


class Held(Struct, frozen=True, kw_only=True):
    """A sound that began at `audio_start_ms` and paused this response; see `hold.py`."""

    response_id: str
    audio_start_ms: int


class State(Struct, frozen=True, kw_only=True):
    """Everything that a conversation remembers.

    `speech_item` is the id promised by `speech_started` and not yet committed.
    `held` is a sound that may become one, `holds` whether any sound is held at all.
    `awaits_user` since an answer is over and they have not taken their turn; announcements change
    nothing in that. `idle_ms` is the time that runs meanwhile, `prompt` the response that it
    led to.
    `response_owed`: a turn was committed that has no response yet.
    `announcements` wait until nobody speaks. `history_items` bounds `entries`. `detections`
    are what turn detection starts from when a client turns it on or changes its type.
    `unheard` are deleted items whose words are still to come: no other item has their ids yet.
    `calls_beside` are the newest function calls of out-of-band responses: a client may answer
    these, too. `foresees`: a guess at a turn that goes on is answered in advance; `guessed` is the
    newest revision of those, and `prepared` what was begun; see `foresight.py`.
    """

    seed: str
    config: AnySessionConfig
    detections: Detections
    conversation_id: str
    history_items: int
    sequence: int = 0
    entries: tuple[Entry, ...] = ()
    responses: tuple[ActiveResponse, ...] = ()
    speech_item: str | None = None
    held: Held | None = None
    awaits_user: bool = False
    idle_ms: int | None = None
    prompt: str | None = None
    holds: bool = False
    response_owed: bool = False
    announcements: tuple[str, ...] = ()
    voice_fixed: bool = False
    summary: Summary | None = None
    unheard: frozenset[str] = frozenset()
    calls_beside: tuple[FunctionCall, ...] = ()
    foresees: bool = False
    guessed: int = 0
    prepared: Prepare | None = None
    closed: bool = False

    @property
    def transcribes(self) -> bool:
        """Whether spoken items are put into words: always where somebody is to answer them."""
        return self.config.type == "realtime" or self.config.audio.input.transcription is not None

    @property
    def active(self) -> ActiveResponse | None:
        """The response of the default conversation, where one runs."""
        return next((r for r in self.responses if r.conversation_id is not None), None)

    def response(self, response_id: str) -> ActiveResponse | None:
        """The active response of that id."""
        for response in self.responses:
            if response.id == response_id:
                return response
        return None

    def entry(self, item_id: str) -> Entry | None:
        """The entry of that item in the default conversation, as it now stands."""
        return next((self.live(e) for e in self.entries if e.item.id == item_id), None)

    def call(self, call_id: str) -> FunctionCall | None:
        """The function call of that id, made to its end in the conversation or beside it."""
        made = (*(entry.item for entry in self.entries), *self.calls_beside)
        return next((item for item in made if is_call(item, call_id)), None)

    def live(self, entry: Entry) -> Entry:
        """The true copy of an entry: that of its response, while that is active."""
        active = self.active if entry.item.status == "in_progress" else None
        return entry if active is None else active.output(entry.item.id) or entry

    def before(self, item_id: str) -> str | None:
        """The id of the item in front of that one; None for the head or an unknown item."""
        previous = None
        for entry in self.entries:
            if entry.item.id == item_id:
                return previous
            previous = entry.item.id
        return None

    def knows(self, item_id: str) -> bool:
        """Whether an item has that id, or will have it, in the conversation or beside it; or had
        it, and something of it is still to come."""
        return (
            item_id == self.speech_item
            or item_id in self.unheard
            or any(e.item.id == item_id for e in self.entries)
            or any(r.output(item_id) is not None for r in self.responses)
        )

    def knows_call(self, call_id: str) -> bool:
        """Whether a function call has that id, made to its end or not."""
        underway = (e.item for r in self.responses for e in r.outputs)
        return self.call(call_id) is not None or any(
            isinstance(item, FunctionCall) and item.call_id == call_id for item in underway
        )

    @property
    def last_item_id(self) -> str | None:
        """The id of the newest item."""
        return self.entries[-1].item.id if self.entries else None


class Draft:
    """A step in the making: the state so far and the effects so far, local to one `step`."""

    __slots__ = ("effects", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.effects: list[Effect] = []

    def emit(self, event: ServerEvent) -> None:
        """Add a server event to the effects."""
        self.effects.append(Emit(event))

    def set(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of State
        """Replace fields of the state."""
        self.state = structs.replace(self.state, **changes)

    def new_id(self, prefix: str) -> str:
        """An id that no other object of this session has, also none that a client named."""
        number = self.state.sequence
        while self.state.knows(
            new_id := f"{prefix}_{self.state.seed}{number:06x}"
        ) or self.state.knows_call(new_id):
            number += 1
        self.set(sequence=number + 1)
        return new_id

    def put_response(self, response: ActiveResponse) -> None:
        """Replace the response of the same id."""
        self.set(
            responses=tuple(response if r.id == response.id else r for r in self.state.responses)
        )

    def put_entry(self, entry: Entry) -> None:
        """Replace the entry of the same item, if it is still in the conversation.

        Walks the history: for changes of an item, not for each delta.
        """
        self.set(
            entries=tuple(entry if e.item.id == entry.item.id else e for e in self.state.entries)
        )

    def add_entry(self, entry: Entry, after: str | None = None, *, at_root: bool = False) -> None:
        """Insert at the end, at the front, or behind `after`."""
        entries = list(self.state.entries)
        if at_root:
            entries.insert(0, entry)
        elif after is None:
            entries.append(entry)
        else:
            index = next(i for i, e in enumerate(entries) if e.item.id == after)
            entries.insert(index + 1, entry)
        self.set(entries=tuple(entries))
