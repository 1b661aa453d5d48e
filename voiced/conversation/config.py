"""The session object: its shape, and updates that are merged whole or not at all.

The structs are the protocol's `session` of `type: "realtime"`; a field that is not here is an
unknown parameter. What voiced accepts without acting on it says so in `docs/realtime.md`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from voiced.conversation.detection import Detections, ServerVad, TurnDetection, turned_to
from voiced.conversation.items import AudioFormat, Modality, PcmFormat
from voiced.conversation.paths import PATH, with_indexes
from voiced.conversation.tooling import FunctionTool, ToolChoice, refused_tool
from voiced.thermal.level import HeatState


class Transcription(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Asks for transcripts of what the user says."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    languages: tuple[str, ...] | UnsetType = UNSET
    keywords: tuple[str, ...] | UnsetType = UNSET
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | UnsetType = UNSET


class NoiseReduction(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Accepted and echoed; no noise reduction is done."""

    type: Literal["near_field", "far_field"]
    strength: float = 1.0


class AudioIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`session.audio.input`. Another format is that of the next turn."""

    format: AudioFormat = PcmFormat()
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = ServerVad()


class VoiceId(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A voice in the form that OpenAI has for a client's own voices."""

    id: str


class AudioOut(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`session.audio.output`. All of it is for the next response; the one that runs goes on."""

    format: AudioFormat = PcmFormat()
    voice: str | VoiceId = "en-us"
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] = 1.0


class Audio(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`session.audio`."""

    input: AudioIn = AudioIn()
    output: AudioOut = AudioOut()


Tokens = Annotated[int, Meta(ge=1, le=4096)] | Literal["inf"]


class Extras(Struct, frozen=True, kw_only=True):
    """`session.voiced`, which the service has not: what a client may want to tell a person. It is
    the daemon's to say, and ignored in a `session.update`."""

    heat: HeatState


class SessionConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The effective configuration of a session, in the protocol's key order."""

    type: Literal["realtime"] = "realtime"
    object: Literal["realtime.session"] = "realtime.session"
    id: str
    model: str
    output_modalities: Annotated[tuple[Modality, ...], Meta(min_length=1, max_length=1)] = (
        "audio",
    )
    instructions: str = ""
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: ToolChoice = "auto"
    max_output_tokens: Tokens = "inf"
    tracing: Literal["auto"] | dict[str, Any] | None = None
    truncation: Literal["auto", "disabled"] | dict[str, Any] = "auto"
    prompt: dict[str, Any] | None = None
    expires_at: int
    audio: Audio = Audio()
    include: tuple[str, ...] | None = None
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: dict[str, Any] | UnsetType = UNSET
    voiced: Extras | UnsetType = UNSET


class TranscriptionAudio(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`session.audio` of a transcription session: nobody answers there."""

    input: AudioIn = AudioIn()


class TranscriptionSessionConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The effective configuration of a transcription session (`?intent=transcription`).

    Nothing is transcribed until `audio.input.transcription` is set.
    """

    type: Literal["transcription"] = "transcription"
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    id: str
    expires_at: int
    audio: TranscriptionAudio = TranscriptionAudio()
    include: tuple[str, ...] | None = None
    voiced: Extras | UnsetType = UNSET


AnySessionConfig = SessionConfig | TranscriptionSessionConfig

ConfigT = TypeVar("ConfigT", bound=AnySessionConfig)

ABOUT_ANSWERS = ("create_response", "interrupt_response", "idle_timeout_ms")
"""Keys of a turn detection that mean nothing where nobody answers. Clients may send them to a
transcription session, without effect, and are not shown them."""


class Rejected(Exception):
    """A client event that cannot be honoured; the error event says why, nothing is applied."""

    def __init__(self, code: str | None, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


T = TypeVar("T")

READ_ONLY = ("id", "object", "expires_at")


def update_config(
    config: ConfigT,
    patch: Mapping[str, Any],
    *,
    voice_fixed: bool,
    detections: Detections | None = None,
) -> ConfigT:
    """Merge a `session.update` into `config`, or raise `Rejected` and change nothing.

    Objects merge by key, arrays and scalars replace, null clears. A turn detection that was off,
    or whose `type` changes, starts from the daemon's own of that type, in `detections`. A
    different `model` is ignored, since agents clients always send their own; the same voice
    again is accepted at any time, a different one is refused once audio was produced
    (`voice_fixed`).
    """
    check_depth(patch, "session")
    if "type" not in patch:
        raise Rejected(
            "missing_required_parameter",
            "Missing required parameter: 'session.type'.",
            param="session.type",
        )
    if patch["type"] != config.type:
        raise Rejected(
            "invalid_parameter",
            f"The type of a session is fixed when it connects; this one is '{config.type}'.",
            param="session.type",
        )
    check_tools(patch, "session")
    for key in READ_ONLY:
        if key in patch and patch[key] != getattr(config, key):
            raise Rejected(
                "unknown_parameter", f"Unknown parameter: 'session.{key}'.", param=f"session.{key}"
            )
    current = msgspec.to_builtins(config)
    kind = turned_to(patch)
    detection = current["audio"]["input"]["turn_detection"]
    if kind is not None and (detection is None or kind != detection["type"]):
        current["audio"]["input"]["turn_detection"] = (detections or Detections()).base(kind)
    ignored = {"type", "voiced", *(["model"] if config.type == "realtime" else [])}
    wanted = {key: value for key, value in patch.items() if key not in ignored}
    merged: AnySessionConfig = convert_strictly(merge(current, wanted), type(config), "session")
    if isinstance(merged, TranscriptionSessionConfig):
        merged = without_answers(merged)
    elif voice_fixed and voice_of(merged) != voice_of(config):
        raise Rejected(
            "cannot_update_voice",
            "Cannot update a conversation's voice once audio is present.",
        )
    return cast("ConfigT", merged)


def without_answers(config: TranscriptionSessionConfig) -> TranscriptionSessionConfig:
    """`config` with a turn detection that asks for no answer and interrupts none."""
    detection = config.audio.input.turn_detection
    if detection is not None:
        silent: dict[str, Any] = {"create_response": False, "interrupt_response": False}
        if isinstance(detection, ServerVad):
            silent["idle_timeout_ms"] = None
        detection = structs.replace(detection, **silent)
    given = structs.replace(config.audio.input, turn_detection=detection)
    return structs.replace(config, audio=TranscriptionAudio(input=given))


def voice_of(config: AnySessionConfig) -> str | None:
    """The name of the session's voice; None where it has none."""
    return voice_name(config.audio.output.voice) if isinstance(config, SessionConfig) else None


def voice_name(voice: str | VoiceId) -> str:
    """The name in either form of a voice. Responses show this one alone: clients refuse `{id}`
    there."""
    return voice.id if isinstance(voice, VoiceId) else voice


def merge(base: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON values of any shape
    """Deep-merge JSON values; see `update_config` for the rules."""
    if not (isinstance(base, dict) and isinstance(patch, Mapping)):
        return patch
    if "type" in patch and "type" in base and patch["type"] != base["type"]:
        return dict(patch)
    return {**base, **{key: merge(base.get(key), value) for key, value in patch.items()}}


def convert_strictly(value: Any, kind: type[T], root: str) -> T:  # noqa: ANN401 - JSON in
    """Build `kind` from JSON values; a refusal becomes `Rejected` with a dotted path."""
    check_depth(value, root)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise rejected_by(with_indexes(str(exc), value, kind), root) from exc


def check_tools(given: Mapping[str, Any], root: str) -> None:
    """Raise `Rejected` for `tools` and a `tool_choice` of a known shape that cannot be had."""
    if refusal := refused_tool(given):
        message, path = refusal
        raise Rejected("invalid_value", message, param=f"{root}.{path}")


MOST_LEVELS = 64
"""How deep JSON may nest in what is kept and echoed. Deeper values would meet the interpreter's
recursion limit in the middle of a step; JSON schemas of tools nest some ten levels."""


def check_depth(value: Any, root: str) -> None:  # noqa: ANN401 - JSON values of any shape
    """Raise `Rejected` where arrays and objects nest deeper than `MOST_LEVELS`."""
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list | tuple)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise Rejected("invalid_value", f"'{root}' is nested too deeply.", param=root)


UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")
MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")
BOUND = re.compile(r"Expected `(?P<kind>\w+)[^`]*` (?P<size>of length )?(?P<sign>[<>]=?) ")
"""How msgspec names a value out of bounds: "Expected `int` >= 1", "… `str` of length <= 64"."""

CODES = {
    ("int", False, "<"): "integer_above_max_value",
    ("int", False, ">"): "integer_below_min_value",
    ("float", False, "<"): "decimal_above_max_value",
    ("float", False, ">"): "decimal_below_min_value",
    ("str", True, "<"): "string_above_max_length",
    ("str", True, ">"): "string_below_min_length",
    ("array", True, "<"): "array_above_max_length",
    ("array", True, ">"): "array_below_min_length",
    ("object", True, "<"): "object_above_max_properties",
}


def rejected_by(problem: str, root: str) -> Rejected:
    """Translate msgspec's one-line complaint into the protocol's codes and dotted `param`."""
    found = PATH.search(problem)
    path = (root + (found["path"] if found else "").replace("[...]", "")).lstrip(".")
    text = PATH.sub("", problem)
    if unknown := UNKNOWN.search(text):
        param = f"{path}.{unknown['field']}" if path else unknown["field"]
        return Rejected("unknown_parameter", f"Unknown parameter: '{param}'.", param=param)
    if missing := MISSING.search(text):
        param = f"{path}.{missing['field']}" if path else missing["field"]
        return Rejected(
            "missing_required_parameter", f"Missing required parameter: '{param}'.", param=param
        )
    code = "invalid_value"
    if bound := BOUND.search(text):
        code = CODES.get((bound["kind"], bool(bound["size"]), bound["sign"][0]), code)
    return Rejected(code, f"Invalid value for '{path}': {text[:1].lower()}{text[1:]}.", param=path)
