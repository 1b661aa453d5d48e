"""What `step` asks its owner to do, in order. Nothing here does anything itself."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from voiced.conversation.config import AnySessionConfig
from voiced.conversation.events import ServerEvent
from voiced.conversation.items import AudioFormat, Item, Modality
from voiced.conversation.tooling import FunctionTool, ToolChoice


class Emit(Struct, frozen=True):
    """Send this server event, after all emitted before it."""

    event: ServerEvent


class Configure(Struct, frozen=True):
    """The session's configuration changed; the audio pipeline follows it."""

    config: AnySessionConfig


class ClaimAudio(Struct, frozen=True):
    """Take the input buffer as the audio of `item_id`, and transcribe it if that is wanted."""

    item_id: str
    transcribe: bool = True


class HearAudio(Struct, frozen=True):
    """Audio that a client gave with `item_id`, in the session's input format: keep it with the
    item, and transcribe it if that is wanted."""

    item_id: str
    audio: bytes
    transcribe: bool = True


class KeepAudio(Struct, frozen=True):
    """What was just sent belongs to `item_id`, for whoever retrieves it."""

    item_id: str
    audio: bytes
    format: AudioFormat


class CutAudio(Struct, frozen=True):
    """Of the audio of `item_id` only the first `end_ms` are its own any more."""

    item_id: str
    end_ms: int


class ForgetAudio(Struct, frozen=True):
    """`item_id` is gone: let go of its audio."""

    item_id: str


class DropAudio(Struct, frozen=True):
    """Forget the input buffer and any speech in it."""


class StoreItem(Struct, frozen=True):
    """Keep this item. Comes before anything that answers it."""

    item: Item


class ResponseOptions(Struct, frozen=True, kw_only=True):
    """The snapshot of the configuration that one response runs on."""

    modality: Modality
    instructions: str
    format: AudioFormat
    voice: str
    speed: float
    max_output_tokens: int | None
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True


class Prepare(Struct, frozen=True, kw_only=True):
    """Begin to answer what may be the whole of a turn, with nothing told and no tool run.

    `revision` tells it from what is guessed later; `item_id` is the turn's item to be.
    """

    revision: int
    item_id: str
    options: ResponseOptions
    messages: tuple[dict[str, Any], ...]


class DropPrepared(Struct, frozen=True):
    """Stop what that `Prepare` began: its turn went on, or became another question."""

    revision: int


class Generate(Struct, frozen=True, kw_only=True):
    """Produce the reply: from `messages` (OpenAI chat shape), or `say` exactly this. `prepared`
    is the revision of the `Prepare` that has asked the very same already."""

    response_id: str
    options: ResponseOptions
    messages: tuple[dict[str, Any], ...] = ()
    say: str | None = None
    prepared: int | None = None


class Abort(Struct, frozen=True):
    """Stop whatever works for this response, at once; its results are ignored from here on.

    `reason` is for the log: that of a cancelled response, or the code of a failed one.
    """

    response_id: str
    reason: str


class TellLimits(Struct, frozen=True):
    """Tell the client how near it is to its limits, with `rate_limits.updated`."""


class HoldReply(Struct, frozen=True):
    """Pause the audio of this response: what sounds now may be no interruption. Find out."""

    response_id: str


class EndHold(Struct, frozen=True):
    """It is decided: what is left of this response, if anything is, goes on."""

    response_id: str


class ArmIdle(Struct, frozen=True):
    """Give in `IdleTimeout` when nothing else came for so long, counted from when all that was
    sent has been played. It is given once; then time does not run any more, as after None."""

    milliseconds: int | None


class Close(Struct, frozen=True):
    """Close the connection, after what was emitted is sent."""

    code: int
    reason: str


Effect = (
    Emit
    | Configure
    | ClaimAudio
    | HearAudio
    | KeepAudio
    | CutAudio
    | ForgetAudio
    | DropAudio
    | StoreItem
    | Prepare
    | DropPrepared
    | Generate
    | Abort
    | TellLimits
    | HoldReply
    | EndHold
    | ArmIdle
    | Close
)
