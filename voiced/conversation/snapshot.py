"""What a response runs on: a copy of the session's configuration with the client's overrides.

A response never looks at the session's configuration again (invariant 7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from voiced.conversation.config import (
    ABOUT_ANSWERS,
    Rejected,
    Tokens,
    TranscriptionSessionConfig,
    VoiceId,
    check_tools,
    convert_strictly,
    voice_name,
)
from voiced.conversation.effects import ResponseOptions
from voiced.conversation.given import AnyNewItem, entry_of, given_audio, transcripts
from voiced.conversation.items import AudioFormat, Entry, Modality
from voiced.conversation.tooling import FunctionTool, ToolChoice

if TYPE_CHECKING:
    from voiced.conversation.config import AnySessionConfig
    from voiced.conversation.state import State

MetadataKey = Annotated[str, Meta(max_length=64)]
MetadataValue = Annotated[str, Meta(max_length=512)]


class OutputOverride(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`response.audio.output`."""

    format: AudioFormat | UnsetType = UNSET
    voice: str | VoiceId | UnsetType = UNSET


class AudioOverride(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`response.audio`."""

    output: OutputOverride = OutputOverride()


class ItemReference(
    Struct, frozen=True, tag="item_reference", tag_field="type", forbid_unknown_fields=True
):
    """Names an item of the default conversation as context."""

    id: str


class ResponseOverrides(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `response` object of `response.create`: what is not given is as in the session."""

    instructions: str | UnsetType = UNSET
    output_modalities: (
        Annotated[tuple[Modality, ...], Meta(min_length=1, max_length=1)] | UnsetType
    ) = UNSET
    audio: AudioOverride = AudioOverride()
    max_output_tokens: Tokens | UnsetType = UNSET
    metadata: Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=16)] | None = None
    conversation: Literal["auto", "none"] = "auto"
    input: tuple[AnyNewItem | ItemReference, ...] | UnsetType = UNSET
    tools: tuple[FunctionTool, ...] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    prompt: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None


class ResponsePlan(Struct, frozen=True, kw_only=True):
    """A response about to be created."""

    options: ResponseOptions
    in_conversation: bool
    max_output_tokens: int | Literal["inf"]
    metadata: dict[str, str] | None = None
    context: tuple[Entry, ...] | None = None
    say: str | None = None


def plan_response(
    state: State, overrides: dict[str, Any], *, say: str | None = None
) -> ResponsePlan:
    """Merge the session's configuration with a client's overrides; raise `Rejected`."""
    config = state.config
    if isinstance(config, TranscriptionSessionConfig):
        raise Rejected(
            "response_create_not_available",
            "response.create is not available in a transcription session: nobody answers there.",
        )
    check_tools(overrides, "response")
    wanted = convert_strictly(overrides, ResponseOverrides, "response")
    tokens = (
        config.max_output_tokens if wanted.max_output_tokens is UNSET else wanted.max_output_tokens
    )
    modalities = (
        config.output_modalities if wanted.output_modalities is UNSET else wanted.output_modalities
    )
    output = wanted.audio.output
    voice = config.audio.output.voice if output.voice is UNSET else output.voice
    options = ResponseOptions(
        modality=modalities[0],
        instructions=config.instructions if wanted.instructions is UNSET else wanted.instructions,
        format=config.audio.output.format if output.format is UNSET else output.format,
        voice=voice_name(voice),
        speed=config.audio.output.speed,
        max_output_tokens=None if tokens == "inf" else tokens,
        tools=config.tools if wanted.tools is UNSET else wanted.tools,
        tool_choice=config.tool_choice if wanted.tool_choice is UNSET else wanted.tool_choice,
        parallel_tool_calls=(
            config.parallel_tool_calls
            if isinstance(wanted.parallel_tool_calls, UnsetType)
            else wanted.parallel_tool_calls
        )
        is not False,
    )
    return ResponsePlan(
        options=options,
        in_conversation=wanted.conversation == "auto",
        max_output_tokens=tokens,
        metadata=wanted.metadata,
        context=None if wanted.input is UNSET else resolve_input(state, wanted.input),
        say=say,
    )


def resolve_input(state: State, given: tuple[AnyNewItem | ItemReference, ...]) -> tuple[Entry, ...]:
    """Entries for the items and references of `response.input`; raise `Rejected`."""
    entries: list[Entry] = []
    for index, item in enumerate(given):
        where = f"response.input[{index}]"
        if isinstance(item, ItemReference):
            entry = state.entry(item.id)
            if entry is None:
                raise Rejected(
                    "invalid_value",
                    f"No item '{item.id}' in the conversation.",
                    param=f"{where}.id",
                )
        else:
            item_id = item.id or f"input_{index}"
            call_id = f"call_input_{index}"
            entry = entry_of(state, item, item_id, where, call_id=call_id, beside=entries)
            if given_audio(item) is not None and not any(transcripts(entry.item)):
                raise Rejected(
                    "invalid_value",
                    "Audio here needs a transcript: give it by conversation.item.create, and "
                    "name the item.",
                    param=f"{where}.content",
                )
        entries.append(entry)
    return tuple(entries)


def session_resource(state: State) -> dict[str, Any]:
    """The full effective session, as `session.created` and `session.updated` carry it."""
    return config_resource(state.config)


def config_resource(config: AnySessionConfig) -> dict[str, Any]:
    """The session object that clients are shown for `config`."""
    resource: dict[str, Any] = msgspec.to_builtins(config)
    detection = resource["audio"]["input"]["turn_detection"]
    if config.type == "transcription" and detection is not None:
        for key in ABOUT_ANSWERS:
            detection.pop(key, None)
    return resource
