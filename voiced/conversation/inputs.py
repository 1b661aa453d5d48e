"""What can happen to a conversation: everything that `step` accepts.

The first group are client events, already parsed; `event_id` is the client's own, echoed only
in errors. The second group comes from the audio pipeline and the engines.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from voiced.conversation.given import AnyNewItem
from voiced.thermal.level import HeatState


class ClientInput(Struct, frozen=True, kw_only=True):
    """Base of what a client asked for."""

    event_id: str | None = None


class UpdateSession(ClientInput, frozen=True, kw_only=True):
    session: dict[str, Any]


class CreateItem(ClientInput, frozen=True, kw_only=True):
    item: AnyNewItem
    previous_item_id: str | None = None


class RetrieveItem(ClientInput, frozen=True, kw_only=True):
    item_id: str


class DeleteItem(ClientInput, frozen=True, kw_only=True):
    item_id: str


class TruncateItem(ClientInput, frozen=True, kw_only=True):
    item_id: str
    content_index: int
    audio_end_ms: int


class CommitAudio(ClientInput, frozen=True, kw_only=True):
    """Commit by hand; `buffered_ms` is what the input buffer holds."""

    buffered_ms: float


class ClearAudio(ClientInput, frozen=True, kw_only=True):
    pass


class CreateResponse(ClientInput, frozen=True, kw_only=True):
    """Ask for an answer; `overrides` are the fields of the client's `response` object."""

    overrides: dict[str, Any]


class CancelResponse(ClientInput, frozen=True, kw_only=True):
    response_id: str | None = None


class RefuseEvent(ClientInput, frozen=True, kw_only=True):
    """A client event that could not even be parsed; answered with one error."""

    code: str | None
    message: str
    param: str | None = None


class SpeechStarted(Struct, frozen=True):
    """Someone began to speak; prefix padding is included in `audio_start_ms`."""

    audio_start_ms: int


class SpeechStopped(Struct, frozen=True):
    """The turn is over, silence window included."""

    audio_end_ms: int


class SpeechConfirmed(Struct, frozen=True):
    """The sound that holds up a reply is meant for us: `text` was recognised, or it is too long
    for anything else."""

    text: str = ""


class SpeechDismissed(Struct, frozen=True):
    """The sound that holds up a reply was no more than a sound, and is forgotten."""


class IdleTimeout(Struct, frozen=True):
    """The time of `ArmIdle` is over: nobody has spoken in this stretch of the input.

    Time runs no more from here on, until the next `ArmIdle`.
    """

    audio_start_ms: int
    audio_end_ms: int


class TurnGuessed(Struct, frozen=True, kw_only=True):
    """What was said when somebody fell silent; they may go on. Of two the higher `revision` is
    the newer one; one that is not newer than all before is stale."""

    revision: int
    text: str


class GuessDropped(Struct, frozen=True):
    """They went on, or it was no turn: guesses up to that revision are nothing."""

    revision: int


class TranscriptReady(Struct, frozen=True, kw_only=True):
    """The words of a spoken item; empty text means that none were recognised."""

    item_id: str
    text: str
    duration_s: float


class TranscriptFailed(Struct, frozen=True, kw_only=True):
    """The words of a spoken item will not come; `message` is public."""

    item_id: str
    code: str
    message: str


class ReplyText(Struct, frozen=True, kw_only=True):
    """More reply: in an audio response one whole clause, about to be spoken."""

    response_id: str
    text: str


class ReplyAudio(Struct, frozen=True, kw_only=True):
    """Audio of clause number `span`, in the response's output format, `duration_ms` long.

    `clause_ms` is the length of the clause's audio as far as it was synthesised, sent or not;
    it tells how much of the clause was heard when it is cut. 0 means unknown.
    """

    response_id: str
    span: int
    audio: bytes
    duration_ms: float
    clause_ms: float = 0.0


class ReplyCall(Struct, frozen=True, kw_only=True):
    """The model asks the client for one of its functions; `arguments` is JSON text.

    Ignored where the response does not offer that function, or may not ask for another.
    """

    response_id: str
    call_id: str
    name: str
    arguments: str


class ReplyEnded(Struct, frozen=True, kw_only=True):
    """The reply is complete, or was cut by the token limit; `timing_ms` by stage.

    `own` is what the daemon's own tools were asked on the way, and what they answered, in
    OpenAI's chat shape: the model is shown it again together with the calls of this response.
    `context_tokens` is how long the longest of its rounds was, with what the model wrote.
    `missing` names the kinds of engines that it was made without, and the code of why.
    """

    response_id: str
    finish: Literal["stop", "length"]
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    context_tokens: int = 0
    timing_ms: dict[str, float] = {}
    own: tuple[dict[str, Any], ...] = ()
    missing: dict[str, str] = {}


class ReplyFailed(Struct, frozen=True, kw_only=True):
    """An engine failed under this response; `message` is public."""

    response_id: str
    code: str
    message: str


class Announce(Struct, frozen=True):
    """The daemon has something to say by itself, such as a timer that is over."""

    text: str


class HeatChanged(Struct, frozen=True):
    """The processor has become warmer or cooler, so that something gives way or goes on."""

    heat: HeatState


class Expire(Struct, frozen=True):
    """The session has reached its longest life."""


class ShutDown(Struct, frozen=True):
    """The session has to end: the daemon goes away, or the connection is at fault.

    `code` is told to responses that are cut off, `close_code` and `reason` close the connection.
    """

    code: str = "server_shutting_down"
    reason: str = "shutting down"
    close_code: int = 1001


class Summarised(Struct, frozen=True, kw_only=True):
    """The model has summed up the oldest items, those of these ids."""

    text: str
    item_ids: frozenset[str]


Input = (
    UpdateSession
    | CreateItem
    | RetrieveItem
    | DeleteItem
    | TruncateItem
    | CommitAudio
    | ClearAudio
    | CreateResponse
    | CancelResponse
    | RefuseEvent
    | SpeechStarted
    | SpeechStopped
    | SpeechConfirmed
    | SpeechDismissed
    | IdleTimeout
    | TurnGuessed
    | GuessDropped
    | TranscriptReady
    | TranscriptFailed
    | ReplyText
    | ReplyAudio
    | ReplyCall
    | ReplyEnded
    | ReplyFailed
    | Summarised
    | Announce
    | HeatChanged
    | Expire
    | ShutDown
)
